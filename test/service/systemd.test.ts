/** Proves */
import { requireSystemd } from './support/require-systemd'
import { Systemd } from './support/systemd'

test('boots', async () => {
  const layers = await requireSystemd()
  const s = await Systemd.boot(layers!)
  console.log(s.systemctl('status').stdout)
  console.log(s.run('journalctl', '--no-pager').stdout)
  await s.dispose()
}, 100000)
