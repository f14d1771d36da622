/**
 * Proves that nobody goes on while the kernel may still be replaced, by a kexec that can't be ended or by a host that does not
 * come to an end of its stop, until an administrator says so.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { updateWithinMsMax } from '../../protocol/wire/limits'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/until'
import { ctl } from './support/ctl'
import type { Holder } from './support/holder'
import { UpdateHost } from './support/update-host'

let host: UpdateHost
let tracer: ChildProcess | undefined

beforeEach(async () => {
  host = await UpdateHost.start()
})
afterEach(async () => {
  tracer?.kill('SIGKILL')
  await host.dispose()
})

/** For its parent a traced process has not ended, while its tracer does not look. */
async function trace(pid: number): Promise<void> {
  const seize = `import ctypes, time
if ctypes.CDLL(None, use_errno=True).ptrace(0x4206, ${pid}, None, None) != 0: raise OSError(ctypes.get_errno())
print('seized', flush=True)
time.sleep(600)`
  tracer = spawn('python3', ['-c', seize], { stdio: ['ignore', 'pipe', 'inherit'] })
  expect(String(await once(tracer.stdout!, 'data'))).toMatch(/^seized/)
}

test('it is told, and the broker does not call the update off soon', async () => {
  if (!needsRoot('a trace of another process')) return
  const a = await host.participant('vm-a')
  const { outcome } = host.update(['--within', '15000'], { GO: 'hang' })
  await until(() => host.hangs, 'the kernel is on its way')
  await trace(host.hung[0]!)
  const { code, stderr } = await outcome
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /^broker-ctl: StillGoing: kexec -e can't be ended, so the kernel may still be replaced; everything is saved\n/,
    ),
  ])
  expect(host.calls).toEqual(['sync', host.load, 'sync', 'kexec -e'])
  await waitsForAnAdministrator(a)
})

test('a host that still stops when the time for its services is over: it is told, too', async () => {
  const a = await host.participant('vm-a')
  const args = ['--go', 'systemctl kexec', '--stop-within', '100']
  const { code, stderr } = await host.update(args, { STATE: 'stopping' }).outcome
  expect([code, stderr]).toEqual([
    1,
    'broker-ctl: StillStopping: the host still stops after 0.1 s; everything is saved\n',
  ])
  await waitsForAnAdministrator(a)
})

async function waitsForAnAdministrator(participant: Holder): Promise<void> {
  const { update } = await host.broker.update()
  expect(update).toMatchObject({ state: 'proceeding' })
  expect(update!.deadline - Date.now()).toBeGreaterThan(updateWithinMsMax / 2)
  expect((await host.broker.status()).frozen).toBe('kernel 7')
  expect((await ctl(host.server.socket, 'update', 'cancel')).code).toBe(0)
  expect(await participant.next()).toEqual({ goesOn: 'by an administrator' })
}
