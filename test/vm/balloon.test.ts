/**
 * Proves that pages which a Linux guest frees go back to the host, from tmpfs and from memfds: QEMU discards them by its own
 * descriptor, the broker shows fewer resident bytes, and the allocation stays charged with its whole size.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { MiB } from '../../protocol/units'
import { guestFilesHere } from '../guest/linux/files'
import { makeDisk, vmFile } from '../guest/linux/machine'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/test-broker'
import { type Run, Scene } from './scene'

const name = 'vm-1'
const ramBytes = 192 * MiB
/** The guest writes and frees so much when it boots. */
const touchedBytes = 48 * MiB

withQemu(qemu => {
  test.each(['directory', 'memfd'] as const)('pages that a guest frees go back from a %s', async source => {
    const files = await guestFilesHere()
    if (files === undefined) return
    const scene = await Scene.open({ main: { source, bytes: '256MiB' } })
    try {
      const disk = path.join(scene.folder, 'disk')
      await makeDisk(disk)
      const parameters = [`guest.touch_mib=${touchedBytes / MiB}`]
      const guest = { files, disk, accelerator: 'tcg', balloon: true, parameters } as const
      writeFileSync(path.join(scene.directory, `${name}.toml`), vmFile(guest, { qemu, ramBytes }))
      const run = scene.run(name)
      expect(await chargedAfterFall(scene, run)).toBeGreaterThanOrEqual(ramBytes)
      await run.guestSays(/ready boot 1/)
      expect(await scene.ctl('vm', 'stop', name, '--powerdown')).toMatchObject({ code: 0 })
      expect(run.stdout).toContain('guest: off')
    } finally {
      await scene.dispose()
    }
  })
})

/** Waits until the guest's memory has less from the host than it had. Returns the bytes that the range still counts. */
async function chargedAfterFall(scene: Scene, run: Run): Promise<number> {
  const client = scene.broker.client()
  let most = 0
  let charged = 0
  await until(async () => {
    if (run.ended) throw new Error(`the guest has ended: ${run.stderr}${run.stdout.slice(-300)}`)
    const [range] = (await client.call('ListRanges', {})).ranges
    const residentBytes = range!.residentBytes!
    most = Math.max(most, residentBytes)
    charged = range!.allocatedBytes
    return residentBytes <= most - touchedBytes / 2
  }, 'the host gets pages of the guest back')
  client.close()
  return charged
}
