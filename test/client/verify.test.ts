/** Proves that the library and broker-ctl freeze with digests, verify, and report bad memory. */
import { connect, MiB, type Progress } from '../../src/client'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { TestBroker } from '../support/test-broker'
import { ctl } from './support/ctl'

let server: TestBroker

beforeEach(async () => {
  server = await TestBroker.start({ main: { graceMs: 500 } })
})
afterEach(() => server.dispose())

const run = (...args: string[]) => ctl(server.socket, ...args)
const lines = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

test('freeze with digests, then verify: the library tells progress and each verdict', async () => {
  // Proves the whole way of an operator's program, and that breaking off leaves nothing open.
  const broker = await connect({ socket: server.socket })
  const intact = await broker.allocate({ name: 'vm/intact', size: 4 * MiB })
  const changed = await broker.allocate({ name: 'vm/changed', size: 4 * MiB })
  await using mapping = await changed.map()
  const told: Progress[] = []
  await broker.freeze('kexec', { digests: true, onProgress: progress => told.push(progress) })
  expect(told[0]).toEqual({ doneBytes: 0, totalBytes: 8 * MiB })
  expect(told.at(-1)).toEqual({ doneBytes: 8 * MiB, totalBytes: 8 * MiB })
  await expect(broker.freeze('again')).rejects.toMatchObject({ code: 'Frozen' })

  // It had not stopped writing.
  mapping.window().writeUInt8(1, 3 * MiB)
  const fds = await settledFds()
  const verified = []
  const progress: Progress[] = []
  for await (const item of broker.verify({ prefix: 'vm/', onProgress: p => progress.push(p) }))
    verified.push(item)
  expect(verified).toEqual([
    { name: 'vm/intact', verdict: 'intact', detail: undefined },
    { name: 'vm/changed', verdict: 'changed', detail: undefined },
  ])
  expect(progress.at(-1)).toEqual({ doneBytes: 8 * MiB, totalBytes: 8 * MiB })
  await intact.refresh()
  expect(intact.verdict).toBe('intact')
  for await (const item of broker.verify()) {
    expect(item.name).toBe('vm/intact')
    break
  }
  const nothing = []
  for await (const item of broker.verify({ prefix: 'none' })) nothing.push(item)
  expect(nothing).toEqual([])
  await sameFds(fds)
  const aborted = broker.verify({ signal: AbortSignal.abort() })
  await expect(aborted.next()).rejects.toMatchObject({ code: 'Aborted' })
  await broker.thaw()
  await broker.close()
})

test('broker-ctl: freeze --digests and verify, for people and for programs', async () => {
  // Proves the exit code by which a script knows that something is wrong, and that a good end is 0.
  const broker = await connect({ socket: server.socket })
  const allocation = await broker.allocate({ name: 'vm/ram', size: 2 * MiB })
  expect(await run('freeze', '--digests', 'kexec')).toMatchObject({
    code: 0,
    stdout: 'frozen, digests of 2 MiB recorded\n',
  })
  expect(await run('verify')).toMatchObject({ code: 0, stdout: 'intact      vm/ram\n', stderr: '' })
  await run('thaw')
  const unverified = await run('verify', '--json')
  expect([unverified.code, ...lines(unverified.stdout)]).toEqual([
    0,
    { name: 'vm/ram', verdict: 'unverified', detail: 'it has no digest' },
  ])
  await using mapping = await allocation.map()
  await run('freeze', '--digests')
  mapping.window().writeUInt8(9, 0)
  const changed = await run('verify', '--prefix', 'vm/', '--json')
  expect([changed.code, lines(changed.stdout)[0].verdict]).toEqual([6, 'changed'])
  expect(JSON.parse(changed.stderr)).toMatchObject({ error: 'Damaged' })
  expect((await run('verify')).stderr).toBe('broker-ctl: Damaged: 1 changed, 0 poisoned\n')
  await run('thaw')
  await broker.close()
})

test('bad memory: an owner tells it by the library, an operator by broker-ctl', async () => {
  // Proves what a range whose pages the kernel chooses says to each of them.
  const broker = await connect({ socket: server.socket })
  const allocation = await broker.allocate({ name: 'vm/ram', size: 2 * MiB })
  expect(await allocation.markPoisoned({ offset: 4096, length: 1 })).toEqual([])
  expect(allocation.verdict).toBe('poisoned')
  expect(await broker.poisoned()).toEqual([])
  await expect(broker.markPoisoned('main', { offset: 0, length: 4096 })).rejects.toMatchObject({
    code: 'InvalidArgument',
    parameters: { parameter: 'range' },
  })
  await expect(allocation.markPoisoned({ offset: 2 * MiB, length: 1 })).rejects.toMatchObject({
    code: 'InvalidArgument',
    parameters: { parameter: 'offset' },
  })
  expect((await run('poison', 'list')).stdout).toBe('no memory is known to be bad\n')
  expect((await run('poison', 'mark', 'vm/ram', '--offset', '0x1000', '--length', '4K')).stdout).toMatch(
    /^its verdict is poisoned/,
  )
  expect((await run('poison', 'mark', '--offset', '0', '--length', '4K')).code).toBe(2)
  expect(
    (await run('poison', 'mark', 'vm/ram', '--range', 'main', '--offset', '0', '--length', '1')).code,
  ).toBe(2)
  expect((await run('show', 'vm/ram')).stdout).toMatch(/^verdict +poisoned$/m)
  expect((await run('ranges')).stdout).toMatch(/ BAD /)
  const verified = await run('verify', '--json')
  expect([verified.code, lines(verified.stdout)[0].verdict]).toEqual([6, 'poisoned'])
  await broker.close()
})
