/**
 * Proves that a huge page of which somebody keeps one byte after the release stays on his account until the kernel has
 * it back, also when others release at the same time, and that nobody else's release is any slower for it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runNow } from '../support/child'
import { needsHugePages } from '../support/needs-huge-pages'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'

const MiB = 2 ** 20
const page = 2 * MiB
const suite = needsHugePages('huge pages that stay pinned') ? describe : describe.skip

suite('a huge page that is pinned after the release', () => {
  let mount: string
  let broker: TestBroker

  beforeEach(async () => {
    mount = mkdtempSync(path.join(tmpdir(), 'membroker-huge-'))
    // The table's 4 MiB, and 24 MiB.
    runNow('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M,size=28M,mode=700', 'none', mount])
    broker = await TestBroker.start({ directory: mount, bytes: 24 * MiB })
  })
  afterEach(async () => {
    await OtherProcess.killAll()
    await broker.dispose()
    runNow('umount', [mount])
    rmSync(mount, { recursive: true })
  })

  const retired = async () => (await broker.ask('GetStatus', {})).retired

  /** Allocates, keeps the last page of it in a pipe, and releases it, or shrinks it by so many bytes. */
  const pin = (mine: OtherProcess, name: string, { bytes = 4 * page, shrinkBy = 0 } = {}) =>
    mine.run(
      async ({ client, native, state }, { name, bytes, shrinkBy }) => {
        await client.call('Allocate', { name, bytes })
        const { grant, fds } = await client.call('CreateMapping', { name })
        state[name] = native.spliceToPipe(fds[0]!, 0, bytes)
        client.closeFd(fds[0]!)
        if (shrinkBy > 0) {
          await client.call('RevokeMapping', { mapping: grant.mapping.id, graceMs: 0 })
          await client.call('Shrink', { name, bytes: bytes - shrinkBy })
          return undefined
        }
        const { outcome, step } = await client.call('Release', { name, graceMs: 0 })
        return { outcome, step }
      },
      { name, bytes, shrinkBy },
    )
  const letGo = (mine: OtherProcess, name: string) =>
    mine.run(({ fs, state }, name) => fs.closeSync(state[name]), name)

  /** Of two, each when its own page comes back, not before. The broker looks about once a second. */
  const comeBackOneByOne = async (mine: OtherProcess) => {
    await letGo(mine, 'first')
    await until(async () => (await retired()).length === 1, 'one is free again')
    await new Promise(resolve => setTimeout(resolve, 2500))
    expect(await retired()).toHaveLength(1)
    await letGo(mine, 'second')
    await until(async () => (await retired()).length === 0, 'the other is free again')
  }

  test('is quarantined, also for the next broker, and free when it is let go', async () => {
    const mine = await OtherProcess.start(broker.socket)
    await expect(pin(mine, 'pinned')).resolves.toEqual({
      outcome: 'quarantined',
      step: expect.stringContaining('1 huge page of it is still pinned'),
    })
    expect(await retired()).toMatchObject([{ allocation: 'pinned', state: 'quarantined', bytes: 4 * page }])
    const before = await broker.freeBytes()
    // Somebody else's memory comes back at once.
    const client = broker.client()
    await client.call('Allocate', { name: 'theirs', bytes: 4 * page })
    await expect(client.call('Release', { name: 'theirs', graceMs: 0 })).resolves.toMatchObject({
      outcome: 'released',
    })
    expect(await broker.freeBytes()).toBe(before)
    await new Promise(resolve => setTimeout(resolve, 2500))
    expect(await retired()).toMatchObject([{ allocation: 'pinned', state: 'quarantined' }])
    broker.closeClients()
    await broker.restart()
    await new Promise(resolve => setTimeout(resolve, 2500))
    expect(await retired()).toMatchObject([{ allocation: 'pinned', state: 'quarantined' }])
    await letGo(mine, 'pinned')
    await until(async () => (await retired()).length === 0, 'it is free again')
    expect(await broker.freeBytes()).toBe(before + 4 * page)
  })

  test('is free again when it is let go, whatever pages others may still take for holes in their files', async () => {
    const mine = await OtherProcess.start(broker.socket)
    await expect(pin(mine, 'pinned')).resolves.toMatchObject({ outcome: 'quarantined' })
    const theirs = await OtherProcess.start(broker.socket)
    await theirs.run(async ({ client, native, state }, bytes) => {
      await client.call('Allocate', { name: 'holes', bytes })
      const { fds } = await client.call('CreateMapping', { name: 'holes' })
      await native.punchHole(fds[0]!, 0, bytes)
      // The mount counts what a mapping may need from now on.
      state.window = new native.Window(fds[0]!, 0, bytes, true)
    }, 4 * page)
    await letGo(mine, 'pinned')
    await until(async () => (await retired()).length === 0, 'it is free again')
  })

  test('of two, one that comes back does not free both', async () => {
    const mine = await OtherProcess.start(broker.socket)
    for (const name of ['first', 'second'])
      await expect(pin(mine, name)).resolves.toMatchObject({ outcome: 'quarantined' })
    await comeBackOneByOne(mine)
  })

  test('of two ends that shrinks cut off, neither is free before its own page comes back, also for the next broker', async () => {
    const mine = await OtherProcess.start(broker.socket)
    for (const name of ['first', 'second']) await pin(mine, name, { bytes: 2 * page, shrinkBy: page })
    expect(await retired()).toHaveLength(2)
    broker.closeClients()
    await broker.restart()
    await new Promise(resolve => setTimeout(resolve, 2500))
    expect(await retired()).toHaveLength(2)
    await comeBackOneByOne(mine)
  })

  test('released beside others that go at the same time, it is counted all the same', async () => {
    const mine = await OtherProcess.start(broker.socket)
    const others = Array.from({ length: 4 }, () => broker.client())
    for (let round = 0; round < 5; round++) {
      for (const [index, client] of others.entries())
        await client.call('Allocate', { name: `other-${index}`, bytes: 2 * page })
      const [pinned] = await Promise.all([
        pin(mine, 'pinned'),
        ...others.map(async (client, index) => {
          // One after another while the pinned one is on its way.
          await new Promise(resolve => setTimeout(resolve, 4 * index))
          await client.call('Release', { name: `other-${index}`, graceMs: 0 })
        }),
      ])
      expect(pinned).toMatchObject({ outcome: 'quarantined' })
      await until(async () => (await retired()).length === 1, 'only the pinned one is kept')
      await letGo(mine, 'pinned')
      await until(async () => (await retired()).length === 0, 'it is free again')
    }
  })
})
