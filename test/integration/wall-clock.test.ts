/**
 * Proves that setting the wall clock neither ends nor prolongs a deadline: a real broker, whose wall clock alone is moved
 * under it, and the holder of its memory in another process.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import path from 'node:path'
import { buildLibrary } from '../guest/build'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const hourMs = 3_600_000
const library = buildLibrary('test/program/wall_clock.c')

if (library === undefined) test('no C compiler: left out', () => expect(process.env.CI).toBeFalsy())
else {
  let broker: TestBroker
  let clock: string

  function setClock(offsetMs: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(offsetMs))
    const fd = openSync(clock, 'r+')
    writeSync(fd, bytes, 0, 8, 0)
    closeSync(fd)
  }

  beforeEach(async () => {
    broker = await TestBroker.start()
    await broker.kill()
    clock = path.join(broker.folder, 'clock')
    closeSync(openSync(clock, 'w'))
    const fd = openSync(clock, 'r+')
    writeSync(fd, Buffer.alloc(8))
    closeSync(fd)
    await broker.start(['env', `LD_PRELOAD=${library}`, `WALL_CLOCK=${clock}`])
  })
  afterEach(async () => {
    await OtherProcess.killAll()
    await broker.dispose()
  })

  test('a grace period is as long as it is, whatever the wall clock does', async () => {
    const client = broker.client()
    const holder = await OtherProcess.start(broker.socket)
    const mapping = await holder.run(async ({ client }) => {
      await client.call('Allocate', { name: 'vm', bytes: 4096 })
      return (await client.call('CreateMapping', { name: 'vm' })).grant.mapping.id
    })
    // Two days ahead: nothing is over, as the holder has a day.
    let outcome: string | undefined
    // On a connection of its own: replies come in the order of the calls.
    const revoking = broker
      .client()
      .call('RevokeMapping', { mapping, graceMs: 24 * hourMs })
      .then(reply => {
        outcome = reply.outcome
      })
    await until(
      async () => (await client.call('GetAllocation', { name: 'vm' })).mappings[0]?.state === 'revoking',
      'revoking',
    )
    setClock(48 * hourMs)
    await until(
      async () => (await client.call('GetStatistics', {})).time > Date.now() + 47 * hourMs,
      'the clock to be moved',
    )
    // More than what the broker waits between two looks.
    await new Promise(resolve => setTimeout(resolve, 3000))
    expect(outcome).toBeUndefined()
    // Two days back: what is over after a moment is over after a moment.
    setClock(-48 * hourMs)
    await client.call('RevokeMapping', { mapping, graceMs: 100 })
    await revoking
    expect(outcome).toBe('quarantined')
    await holder.kill()
  })
}
