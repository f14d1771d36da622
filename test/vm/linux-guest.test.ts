/**
 * Proves that a Linux guest of the distribution goes on over each event of its host that needs no other kernel: a save and
 * a run, the broker's end, an upgrade of QEMU, QEMU's end while it loads. The connection from before stays
 * open, each byte of its stream comes once and in order, counters and clocks go on, and the disk is in order. Where nothing
 * was saved, QEMU's end is one crash: the guest boots with all that it had written.
 */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { VmPlaces } from '../../src/client/ctl/vm/places'
import { guestFilesHere } from '../guest/linux/files'
import { makeDisk, recordsOn, vmFile } from '../guest/linux/machine'
import { GuestNetwork, type PeerProcess } from '../guest/linux/network'
import { requireQemu } from '../guest/require-qemu'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'
import { newestQemu } from './newest-qemu'
import { type Run, Scene } from './scene'

/** Packages are fetched, once. */
const suiteMs = 900_000
jest.setTimeout(suiteMs)

/** A bound on hanging. */
const boundMs = 240_000
const name = 'vm-1'
const address = '10.77.0.2'
const own = requireQemu()

if (own === undefined || !needsRoot('a Linux guest on a tap')) {
  test('nothing of this suite ran: QEMU or root is missing', () => {
    expect(process.env.CI).toBeFalsy()
  })
} else {
  let files: Awaited<ReturnType<typeof guestFilesHere>>
  let scene: Scene
  let network: GuestNetwork
  let disk: string
  let agent: string
  let peer: PeerProcess
  let run: Run

  beforeAll(async () => {
    files = await guestFilesHere()
    scene = await Scene.open()
    network = await GuestNetwork.open(['tap0'])
    scene.launcher = network.enter
    disk = path.join(scene.folder, 'disk')
    agent = path.join(scene.folder, 'agent')
    if (files === undefined) return
    await makeDisk(disk)
    write(own)
    run = scene.run(name)
    await run.guestSays(/ready boot 1 records 0/)
    peer = network.peer(address)
    await peer.progress('the guest serves')
  }, suiteMs)
  afterAll(async () => {
    await network.close()
    await scene.dispose()
  })

  function write(qemu: string): void {
    const guest = {
      files: files!,
      disk,
      network: { tap: 'tap0', address, fd: 50 },
      accelerator: 'tcg' as const,
      agent,
    }
    writeFileSync(path.join(scene.directory, `${name}.toml`), vmFile(guest, { qemu, ramBytes: 2 ** 27 }))
  }

  function step(title: string, run: () => Promise<void>): void {
    test(title, async () => {
      if (files !== undefined) await run()
    })
  }

  async function save(): Promise<void> {
    expect(await scene.stop(name, '--save')).toMatchObject({ code: 0, stderr: '' })
    expect(await run.outcome).toMatchObject({ code: 0 })
  }

  async function goOn(what: string): Promise<void> {
    run = scene.run(name)
    await run.says(/the guest goes on/)
    expect(await peer.progress(what)).toMatchObject({ boot: 1 })
  }

  step('over a save and a run, with its clocks standing still', async () => {
    const from = performance.now()
    const before = await peer.progress('frames of before the save')
    await save()
    const saved = performance.now()
    await sleep(1_000)
    const savedSeconds = (performance.now() - saved) / 1000
    await goOn('the guest goes on after a save')
    const after = await peer.status()
    const outside = (performance.now() - from) / 1000
    const realtime = after.realtimeSeconds - before.realtimeSeconds
    const monotonic = after.monotonicSeconds - before.monotonicSeconds
    // A frame may have been on its way for a while.
    expect(outside - realtime).toBeGreaterThan(savedSeconds / 2)
    expect(outside - monotonic).toBeGreaterThan(savedSeconds / 2)
    expect(Math.abs(realtime - monotonic)).toBeLessThan(savedSeconds)
  })

  /** Asks the guest's agent. */
  async function ask(command: string, args?: object): Promise<void> {
    const socket = connect(agent)
    const answered = once(socket, 'data', { signal: AbortSignal.timeout(boundMs) })
    socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
    const [answer] = await answered
    socket.destroy()
    expect(JSON.parse(String(answer))).toHaveProperty('return')
  }

  const inGuest = (file: string, ...args: string[]) => ask('guest-exec', { path: file, arg: args })

  step('and its clock is set in each way that the guide has', async () => {
    // The hardware clock has whole seconds, and a slow guest sets it some time after it has read it.
    const standsMs = 8_000
    const isSet = (what: string) => peer.until(({ behindSeconds }) => behindSeconds < standsMs / 2000, what)
    const source = 'server 10.77.0.1 iburst minpoll 0 maxpoll 0'
    const common = ['-u', 'root', 'cmdport 0', 'bindcmdaddress /']
    const own = ['local', 'allow', `pidfile ${scene.folder}/chronyd.pid`]
    network.start([...files!.chronyd, '-n', '-x', ...common, ...own])
    const ways = {
      'the guest agent': () => ask('guest-set-time'),
      'hwclock in the guest': () => inGuest('/sbin/hwclock', '--hctosys'),
      'chrony in the guest, started': () =>
        inGuest('/sbin/chronyd', ...common, source, 'makestep 1 -1', 'pidfile /tmp/chronyd.pid'),
    }
    for (const [what, set] of Object.entries(ways)) {
      await save()
      await sleep(standsMs)
      await goOn('the guest goes on after another save')
      expect((await peer.status()).behindSeconds).toBeGreaterThan(standsMs / 1500)
      await set()
      await isSet(what)
    }
    await inGuest('/bin/busybox', 'killall', 'chronyd')
  })

  step('over the end of the broker, killed and in order', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await scene.broker.kill(signal)
      await peer.progress(`the guest goes on without a broker after ${signal}`)
      await scene.broker.start()
      expect(await scene.state(name)).toBe('running')
    }
    await peer.progress('the guest goes on with another broker')
  })

  async function upgrade(): Promise<void> {
    expect(await scene.ctl('vm', 'upgrade', name)).toMatchObject({ code: 0, stderr: '' })
    expect(await peer.progress('the guest goes on after an upgrade')).toMatchObject({ boot: 1 })
  }

  step('over an upgrade of QEMU, to the newest too, and a save there', async () => {
    await upgrade()
    const newest = await newestQemu(scene.folder)
    if (newest === undefined) return
    write(newest)
    await upgrade()
    await save()
    await goOn('the guest goes on in the newest QEMU')
  })

  step('over the end of QEMU while it loads', async () => {
    await save()
    const places = new VmPlaces(scene.runtime, name)
    const killed = scene.run(name)
    await until(() => places.read()?.state === 'starting', 'a start')
    await killed.kill()
    expect(killed.stderr).not.toContain('the guest goes on')
    await goOn('the guest goes on after a start that was killed')
  })

  step('and boots after the end of QEMU', async () => {
    const before = await peer.status()
    const [vm] = (await scene.list()) as [{ qemuPid: number }]
    process.kill(vm.qemuPid, 'SIGKILL')
    expect(await run.outcome).toMatchObject({ code: 128 + 9 })
    run = scene.run(name)
    await run.guestSays(/ready boot 2/)
    await until(async () => (await peer.status()).failure !== undefined, 'the end of the first connection')
    peer = network.peer(address)
    const after = await peer.progress('the guest serves again')
    expect(after.boot).toBe(2)
    expect(after.records).toBeGreaterThan(before.records)
  })

  step('and its disk is in order at the end', async () => {
    const { records } = await peer.status()
    expect(await scene.stop(name, '--powerdown')).toMatchObject({ code: 0 })
    expect(await run.outcome).toMatchObject({ code: 0 })
    expect(run.stdout).toContain('guest: off')
    const written = await recordsOn(disk)
    expect(written.length).toBeGreaterThanOrEqual(records)
    expect(new Set(written.map(({ boot }) => boot))).toEqual(new Set([1, 2]))
  })
}
