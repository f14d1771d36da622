/**
 * Proves that a guest is saved, goes on, and passes to another QEMU whatever memory it has: memfds, huge pages, several NUMA nodes in several ranges;
 * and as a user of its own, who has what its [[owner]] says.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { withQemu } from '../guest/require-qemu'
import { attemptNow } from '../support/child'
import { needsHugePages } from '../support/needs-huge-pages'
import { needsRoot } from '../support/needs-root'
import { expectGapless, Scene, type VmFileParts } from './scene'

withQemu(() => {
  let scene: Scene | undefined
  const folders: string[] = []

  afterEach(async () => {
    await scene?.dispose()
    scene = undefined
    for (const folder of folders.splice(0)) {
      attemptNow('umount', [folder])
      rmSync(folder, { recursive: true, force: true })
    }
  })

  const folder = () => {
    folders.push(mkdtempSync('/dev/shm/membroker-vm-'))
    return folders.at(-1)!
  }
  const range = (name: string, source: 'directory' | 'memfd', bytes: string, more = '') =>
    `[[range]]\nname = "${name}"\nsource = "${source}"\nbytes = "${bytes}"\n` +
    (source === 'directory' ? `path = "${folder()}"\n` : '') +
    more

  /** Boot, save, go on, pass to another QEMU; nothing of its count is lost. */
  async function savedAndResumed(on: Scene, parts: VmFileParts): Promise<void> {
    on.write('vm-1', parts)
    const first = on.run('vm-1')
    await first.counts(20)
    expect(await on.stop('vm-1', '--save')).toMatchObject({ code: 0, stderr: '' })
    expect((await first.outcome).code).toBe(0)
    const second = on.run('vm-1')
    await second.counts(20)
    expect(second.stderr).toContain('the guest goes on')
    // What was printed last may not have got through before the end.
    expect(second.counters[0]! - first.counters.at(-1)!).toBeGreaterThanOrEqual(0)
    expect(second.counters[0]! - first.counters.at(-1)!).toBeLessThanOrEqual(2)
    expect(await on.ctl('vm', 'upgrade', 'vm-1')).toMatchObject({ code: 0, stderr: '' })
    await second.counts(second.counters.length + 10)
    expectGapless(second.counters)
  }

  test('memfds', async () => {
    scene = await Scene.open({ config: range('sealed', 'memfd', '256MiB') })
    await savedAndResumed(scene, {})
  })

  test('huge pages', async () => {
    if (!needsHugePages('VMs on huge pages')) return
    const huge = folder()
    expect(attemptNow('mount', ['-t', 'hugetlbfs', '-o', 'pagesize=2M', 'hugetlbfs', huge])).toMatchObject({
      status: 0,
    })
    const config = `[[range]]\nname = "huge"\nsource = "directory"\nbytes = "28MiB"\npath = "${huge}/x"\n`
    mkdirSync(`${huge}/x`, { mode: 0o700 })
    scene = await Scene.open({ config })
    await savedAndResumed(scene, {
      memory: '[[memory]]\nbytes = "16MiB"\n',
      more: '[state]\nbytes = "4MiB"\n',
    })
  })

  test('two NUMA nodes, each of a range of its own, the state of a third', async () => {
    const config = [
      range('one', 'directory', '64MiB'),
      range('two', 'memfd', '64MiB'),
      range('three', 'directory', '64MiB'),
    ].join('\n')
    scene = await Scene.open({ config })
    const memory = '[[memory]]\nbytes = "48MiB"\nrange = "one"\n[[memory]]\nbytes = "32MiB"\nrange = "two"\n'
    await savedAndResumed(scene, {
      memory,
      more: '[state]\nrange = "three"\n',
      // The counting guest has one processor.
      arguments: ['-smp', '1', '-numa', 'cpu,node-id=0,socket-id=0', '-numa', 'dist,src=0,dst=1,val=20'],
    })
    const [vm] = (await scene.list()) as [
      { bytes: number; allocations: Array<{ name: string; range: string }> },
    ]
    expect(vm.bytes).toBe(80 * 2 ** 20)
    expect(vm.allocations.map(({ name, range }) => [name, range]).sort()).toEqual([
      ['vm-1/ram-0', 'one'],
      ['vm-1/ram-1', 'two'],
      ['vm-1/state', 'three'],
    ])
  })

  test('as a user of its own, who owns the memory', async () => {
    if (!needsRoot('VMs of another user')) return
    const owner =
      '[broker]\nsocket_mode = "0666"\n[[owner]]\nuser = "daemon"\nbytes_max = "128MiB"\nopen_by_path = true\nnames = ["vm-*"]\n'
    scene = await Scene.open({ config: range('guests', 'directory', '256MiB', owner) })
    for (const open of [scene.folder, scene.broker.folder]) chmodSync(open, 0o755)
    await savedAndResumed(scene, { vm: 'user = "daemon"' })
    const client = scene.broker.client()
    for (const name of ['vm-1/ram', 'vm-1/state'])
      expect((await client.call('GetAllocation', { name })).allocation.uid).toBe(1)
    // Its quota is the broker's word.
    scene.write('vm-2', { vm: 'user = "daemon"', memory: '[[memory]]\nbytes = "100MiB"\n' })
    expect(await scene.run('vm-2').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/QuotaExceeded/),
    })
    // Another user's memory is not for it.
    scene.write('vm-1')
    await scene.stop('vm-1', '--save')
    expect(await scene.run('vm-1').outcome).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/PermissionDenied/),
    })
  })
})
