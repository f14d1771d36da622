/**
 * Proves that the broker does not open memory for looking at it while it is asked who has that memory open: the question
 * has several steps, and takes turns with calls.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Broker } from '../../src/broker/broker'
import { parseConfig } from '../../src/broker/config/config'
import { Viewer } from '../../src/broker/console/viewers'
import { allocate } from '../../src/broker/handler/allocate'
import { readAllocation } from '../../src/broker/handler/raw-view'
import { recover } from '../../src/broker/recover/recover'
import type { Proof } from '../../src/broker/source/source'
import { silentLog } from '../support/silent-log'

test('memory is not looked at under a proof, and again when that is done', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-raw-'))
  try {
    const text = `[[range]]
name = "ram"
source = "memfd"
bytes = "1MiB"
[console]
raw_view = true
write = true
[defaults]
bytes_max = "1MiB"
`
    const settings = parseConfig(text, 'test.toml', path.join(folder, 'broker.sock'))
    const broker = new Broker({ settings, bootId: 'b'.repeat(32), log: silentLog() })
    await recover(broker)
    const viewer = new Viewer('test', settings.console!, broker)
    const { allocation } = await allocate(broker, viewer, { name: 'vm', bytes: 4096, uid: 1000 })
    const look = async () => (await readAllocation(broker, viewer, { name: 'vm', offset: 0, length: 4 })).data
    expect(await look()).toBe('AAAAAA==')
    let answer: (proof: Proof) => void = () => {}
    const proof = broker.contents.unread(
      allocation.id,
      () => new Promise<Proof>(resolve => (answer = resolve)),
    )
    await new Promise(resolve => setImmediate(resolve))
    await expect(look()).rejects.toEqual(expect.objectContaining({ error: 'Busy' }))
    answer({ kind: 'gone' })
    await proof
    expect(await look()).toBe('AAAAAA==')
    broker.inventory.ranges.get('ram')!.source.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
