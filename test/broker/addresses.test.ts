/** Proves that sentences for clients have no addresses of memory, and that administrators get them whole. */
import { mkdtempSync, rmSync } from 'node:fs'
import type { Call } from '../../protocol/wire/responder'
import { redactedFor } from '../../src/broker/access/policy'
import { Broker } from '../../src/broker/broker'
import { embeddedDefault } from '../../src/broker/config/config'
import { unlimited } from '../../src/broker/config/settings'
import { dispatcher } from '../../src/broker/handler/dispatch'
import { listRanges } from '../../src/broker/handler/inspect'
import { recover } from '../../src/broker/recover/recover'
import { Session } from '../../src/broker/session/session'
import { silentLog } from '../support/silent-log'

test.each([
  [
    'no device-DAX region begins at 0x40000000; there are: 0x100000000 (3 GiB)',
    'no device-DAX region begins at (address); there are: (address) (3 GiB)',
  ],
  ['the range 0x40000000-0x4fffffff is not reserved', 'the range (address) is not reserved'],
  ["echo '40000000-4fffffff' > mapping: ENOMEM", "echo '(address)' > mapping: ENOMEM"],
  ['nothing is mapped at 0xffffea0001000000 in the kernel', 'nothing is mapped at (address) in the kernel'],
  ['uid 64055 may use names like vm-42-* only', 'uid 64055 may use names like vm-42-* only'],
])('%s', (text, told) => {
  expect(redactedFor({ isAdmin: false }, text)).toBe(told)
  expect(redactedFor({ isAdmin: true }, text)).toBe(text)
})

describe('a range with an address', () => {
  const directory = mkdtempSync('/dev/shm/membroker-addresses-')
  const settings = embeddedDefault({ directory, bytes: 2 ** 20, socket: `${directory}/unused` })
  settings.defaults = unlimited
  const broker = new Broker({ settings, bootId: '0'.repeat(32), log: silentLog() })
  const range = () => [...broker.inventory.ranges.values()][0]!
  const sessionOf = (uid: number) => new Session({ pid: process.pid, uid, gid: 0, pidfd: -1 }, broker)

  beforeAll(async () => {
    await recover(broker)
    Object.assign(range().source, { base: 2 ** 30 })
  })
  afterAll(() => {
    range().close()
    rmSync(directory, { recursive: true })
  })

  test('tells it to administrators only, also by its reason and in an error', async () => {
    range().becomeReadOnly('the region at 0x40000000 does not answer')
    const told = async (uid: number) => {
      const { base, reason } = (await listRanges(broker, sessionOf(uid))).ranges[0]!
      return [base ?? null, reason]
    }
    expect(await told(process.getuid!())).toEqual([2 ** 30, 'the region at 0x40000000 does not answer'])
    expect(await told(4321)).toEqual([null, 'the region at (address) does not answer'])
    const failures: unknown[] = []
    const call = {
      method: 'io.membroker.Broker.Allocate',
      parameters: { name: 'vm', bytes: 4096 },
      fail: (_: string, parameters: unknown) => failures.push(parameters),
    } as unknown as Call
    for (const uid of [process.getuid!(), 4321]) {
      dispatcher(broker)(sessionOf(uid), call)
    }
    await new Promise(resolve => setImmediate(resolve))
    expect(failures).toMatchObject([
      { reason: 'the region at 0x40000000 does not answer' },
      { reason: 'the region at (address) does not answer' },
    ])
  })
})
