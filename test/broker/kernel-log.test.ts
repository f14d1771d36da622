/**
 * Proves that memory whose failure is only in the kernel's log is in the ledger at once, with verdict and event, also when
 * nobody asks, and before a freeze answers; and that neither programs' lines nor a flood of lines do any harm. Pages can't be
 * made to fail here (the lab does), and the kernel takes ten lines in five seconds of a program, so a FIFO stands for it.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { Event } from '../../protocol/generated/broker'
import type { Call } from '../../protocol/wire/responder'
import type { Broker } from '../../src/broker/broker'
import { unlimited } from '../../src/broker/config/settings'
import { KernelLog } from '../../src/broker/contents/kernel-log'
import { followKernelLog } from '../../src/broker/contents/poison'
import { allocate } from '../../src/broker/handler/allocate'
import { freeze } from '../../src/broker/handler/freeze'
import { allPoisoned } from '../../src/broker/handler/poison'
import type { Session } from '../../src/broker/session/session'
import { DirectorySource } from '../../src/broker/source/directory/directory'
import { buildProgram } from '../guest/build'
import { run, runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'
import { InProcess, sessionOf } from './support/in-process'

const page = 4096
const bytes = 64 * page
const isRoot = needsRoot("writing to the kernel's log")

const brokers = new InProcess('kmsg')
let directory: string
let log: string
let writer: number
let sequence: number
let kernelLog: KernelLog | undefined

beforeEach(() => {
  directory = brokers.folder()
  log = path.join(directory, 'kmsg')
  runNow('mkfifo', [log])
  // Open for both, so that neither end waits for the other.
  writer = openSync(log, constants.O_RDWR | constants.O_NONBLOCK)
  sequence = 0
})
afterEach(() => {
  kernelLog?.close()
  kernelLog = undefined
  closeSync(writer)
  brokers.dispose()
})

function say(text: string, facility = 0): void {
  writeSync(writer, `${facility * 8 + 3},${sequence++},1234,-;${text}\n`)
}
const fail = (frame: number, facility = 0) =>
  say(`Memory failure: 0x${frame.toString(16)}: recovery action for dax page: Recovered`, facility)

describe('a broker', () => {
  let broker: Broker
  let session: Session
  const heard: Event[] = []

  async function start(): Promise<void> {
    broker = await brokers.open(path.join(directory, 'range'), {
      bytes,
      change: settings => (settings.defaults = unlimited),
      prepare: ({ kernelLog }) => Object.assign(kernelLog, { file: log }),
    })
    await followKernelLog(broker)
    session = sessionOf(broker)
    heard.length = 0
    broker.events.watch(event => heard.push(event), 0)
  }
  function stop(): void {
    brokers.close(broker)
    closeSync(session.peer.pidfd)
  }
  const ledger = async () =>
    (await allPoisoned(broker)).map(({ offset, allocation, origin }) => [offset, allocation, origin])

  beforeEach(async () => {
    Object.defineProperty(DirectorySource.prototype, 'ownsPages', { value: true, configurable: true })
    await start()
  })
  afterEach(() => {
    stop()
    Reflect.deleteProperty(DirectorySource.prototype, 'ownsPages')
  })

  test('records what fails while it is in use, though nobody asks', async () => {
    const { allocation } = await allocate(broker, session, { name: 'vm', bytes: 4 * page })
    const frame = allocation.extents[0]!.offset / page + 2
    // A program's line, and memory that is nobody's here.
    fail(frame + 1, 1)
    fail(1 << 20)
    fail(frame)
    fail(frame)
    await until(async () => (await ledger()).length > 0, 'the ledger has it')
    expect(await ledger()).toEqual([[frame * page, 'vm', 'kernel']])
    expect(broker.inventory.byName.get('vm')!.record.verdict).toBe('poisoned')
    expect(heard.filter(({ kind }) => kind === 'poisoned')).toMatchObject([
      { allocation: 'vm', offset: 2 * page, bytes: page },
    ])
    expect(broker.statistics.failedPages).toBe(1)
  })

  test('has recorded everything when a freeze answers, also while frozen', async () => {
    const call = { more: false } as Call
    fail(7)
    await freeze(broker, session, { reason: 'kexec' }, call)
    expect(await ledger()).toEqual([[7 * page, null, 'kernel']])
    fail(9)
    await until(async () => (await ledger()).length > 1, 'what fails while it is frozen is in the ledger')
  })

  test('that starts takes up what the log has since this boot', async () => {
    stop()
    fail(3)
    await start()
    expect(await ledger()).toEqual([[3 * page, null, 'kernel']])
  })

  test('goes on without a log that it may not read, and says so', async () => {
    stop()
    log = path.join(directory, 'none')
    await start()
    expect(broker.kernelLog.followed).toBe(false)
    await allocate(broker, session, { name: 'vm', bytes: page })
  })
})

test('records that were overwritten before they could be read are counted', async () => {
  kernelLog = new KernelLog(log)
  const lost: number[] = []
  say('the first that is still there')
  await kernelLog.follow({ failed: () => {}, lost: records => lost.push(records) })
  sequence += 5
  say('the next')
  await until(() => kernelLog!.lostRecords > 0, 'lost records')
  expect([kernelLog.lostRecords, lost]).toEqual([5, [5]])
})

test('a flood is read to its end, so many records at once and then a pause', async () => {
  const records = 10_000
  kernelLog = new KernelLog(log)
  const turns: { pages: number; at: number }[] = []
  await kernelLog.follow({
    failed: pages => turns.push({ pages: pages.length, at: performance.now() }),
    lost: () => {},
  })
  await run(buildProgram('test/program/log-flood.c')!, [log, String(records)])
  const told = () => turns.reduce((sum, { pages }) => sum + pages, 0)
  await until(() => told() === records, 'all of it is read')
  for (const [index, { pages, at }] of turns.entries()) {
    expect(pages).toBeLessThanOrEqual(512)
    if (index > 0) expect(at - turns[index - 1]!.at).toBeGreaterThan(15)
  }
})

if (isRoot)
  test('what a program writes to the real log is not believed', async () => {
    kernelLog = new KernelLog()
    await kernelLog.follow({ failed: () => {}, lost: () => {} })
    const kmsg = openSync('/dev/kmsg', 'w')
    writeSync(kmsg, '<3>Memory failure: 0x1: membroker test')
    closeSync(kmsg)
    await kernelLog.catchUp()
    expect(
      kernelLog.poisonOf({ source: { ownsPages: true, base: 0 } } as never, [{ offset: 0, length: 2 ** 40 }]),
    ).toEqual([])
  })
