/**
 * Proves of worker processes that their work is done and told, that a worker which does not come back is killed in time
 * and replaced, that turns are fair and bounded by owner, and that nothing is left of them.
 */
import { spawn } from 'node:child_process'
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import path from 'node:path'
import { native } from '../../native'
import { NotInTime, WorkerLost } from '../../src/broker/worker/errors'
import { operateOnFile } from '../../src/broker/worker/file-operation'
import { encodeRequest, u32, u64 } from '../../src/broker/worker/request'
import { type WaitBudget, WorkerPool } from '../../src/broker/worker/worker-pool'
import { sameFds, settledFds } from '../support/leaks-nothing'
import { until } from '../support/test-broker'

let folder: string
let pool: WorkerPool
let fds: string[]

beforeEach(async () => {
  fds = await settledFds()
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-worker-'))
  pool = new WorkerPool()
  pool.start()
})
afterEach(async () => {
  pool.close()
  rmSync(folder, { recursive: true, force: true })
  await until(() => children().length === 0, 'every worker is gone')
  await sameFds(fds)
})

/** The workers of this process, zombies included. */
function children(): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
        return stat.includes('(membroker-work') && stat.split(') ')[1]!.split(' ')[1] === String(process.pid)
      } catch {
        return false
      }
    })
}

const uid = 1000
const soonMs = 60_000
const state = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]![0]

test('every file operation does what its system call does, also by a descriptor that only names the file', async () => {
  const file = path.join(folder, 'file')
  writeFileSync(file, 'x'.repeat(8192))
  const fd = openSync(file, 'r+')
  const O_PATH = 0x200000
  const name = openSync(file, O_PATH)
  try {
    await operateOnFile(pool, uid, fd, { kind: 'truncate', bytes: 5000 }, soonMs)
    expect(statSync(file).size).toBe(5000)
    await operateOnFile(pool, uid, fd, { kind: 'allocate', offset: 4096, length: 4096 }, soonMs)
    expect(statSync(file).size).toBe(8192)
    await operateOnFile(pool, uid, fd, { kind: 'punchHoles', pieces: [{ offset: 0, length: 4096 }] }, soonMs)
    expect(readFileSync(file).subarray(0, 4097)).toEqual(Buffer.from(`${'\0'.repeat(4096)}x`))
    for (const [by, mode] of [
      [fd, 0o640],
      [name, 0o600],
    ] as const) {
      await operateOnFile(pool, uid, by, { kind: 'chmod', mode }, soonMs)
      await operateOnFile(pool, uid, by, { kind: 'chown', uid: process.getuid!() }, soonMs)
      expect(statSync(file).mode & 0o777).toBe(mode)
    }
    await expect(
      operateOnFile(pool, uid, name, { kind: 'truncate', bytes: 0 }, soonMs),
    ).rejects.toMatchObject({ name: 'SystemError', code: 'EBADF', syscall: 'ftruncate' })
    await expect(operateOnFile(pool, uid, 999_999, { kind: 'chmod', mode: 0 }, soonMs)).rejects.toMatchObject(
      {
        code: 'EBADF',
      },
    )
    // The borrowed descriptor is still the caller's, and the workers have none.
    expect(fstatSync(fd).size).toBe(8192)
    for (const pid of pool.pids)
      expect(readdirSync(`/proc/${pid}/fd`).sort()).toEqual(['0', '1', '2', '3', '4'])
  } finally {
    closeSync(fd)
    closeSync(name)
  }
})

test('idle workers are used again, and all but one end after a moment', async () => {
  const file = openSync(path.join(folder, 'file'), 'w')
  const chmod = () => operateOnFile(pool, uid, file, { kind: 'chmod', mode: 0o600 }, soonMs)
  const [first] = pool.pids
  for (let round = 0; round < 20; round++) await chmod()
  expect(pool.pids).toEqual([first])
  await Promise.all(Array.from({ length: 12 }, chmod))
  expect(pool.pids.length).toBeLessThanOrEqual(4)
  await until(() => pool.pids.length === 1, 'spare workers have ended')
  expect(children()).toEqual(pool.pids)
  closeSync(file)
})

test('a worker that stands still is late in time, the next job has another, and two abandoned ones are enough', async () => {
  const file = openSync(path.join(folder, 'file'), 'w')
  const chmod = (deadlineMs: number) =>
    operateOnFile(pool, uid, file, { kind: 'chmod', mode: 0o600 }, deadlineMs)
  const [worker] = pool.pids
  const pidfd = native.pidfdOpen(worker!)
  native.pidfdSendSignal(pidfd, 19)
  await until(() => state(worker!) === 'T', 'it stands still')
  await expect(chmod(200)).rejects.toThrow(NotInTime)
  await chmod(soonMs)
  await until(() => !native.isAlive(pidfd), 'the late one is killed')
  await until(() => !pool.pids.includes(worker!), 'and reaped')
  closeSync(pidfd)
  closeSync(file)
})

test('a budget pays for sleep in its function of the kernel alone, in all jobs that share it', async () => {
  const own = openSync('/dev/null', 'r')
  const close = (budget: WaitBudget, deadlineMs = soonMs) =>
    pool.run(uid, { request: encodeRequest('close', []), fds: [own], deadlineMs, budget })
  const stop = () => process.kill(pool.pids[0]!, 'SIGSTOP')
  const budget = { asleepIn: 'do_signal_stop', leftMs: 100 }
  await close(budget)
  expect(budget.leftMs).toBe(100)
  const other = { asleepIn: 'memfd_luo_preserve', leftMs: 100 }
  stop()
  expect(await close(other, 500)).toMatchObject({ kind: 'late' })
  expect(other.leftMs).toBe(100)
  await until(() => pool.pids.length === 0, 'the late one is reaped')
  pool.start()
  await close(budget)
  stop()
  expect(await close(budget)).toMatchObject({ kind: 'late' })
  expect(budget.leftMs).toBeLessThanOrEqual(0)
  closeSync(own)
})

describe('a row', () => {
  let own: number
  beforeEach(() => {
    own = openSync('/dev/null', 'r')
  })
  afterEach(() => closeSync(own))
  /** No session of any kernel: each is refused at once. */
  const run = (count: number, patience: Omit<Parameters<WorkerPool['runRow']>[1], 'request' | 'jobs'> = {}) =>
    pool.runRow(uid, {
      request: isLast => encodeRequest('preserve', [u64(0), u32(isLast ? 1 : 0)]),
      jobs: Array.from({ length: count }, (_, index) => ({ fds: [own, own], blame: `file ${index}` })),
      ...patience,
    })
  const signal = (name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL') => process.kill(pool.pids[0]!, name)
  const refused = -constants.errno.ENOTTY
  const unbegun = (count: number) => Array(count).fill(undefined)

  test('is done by one worker, and each has its own result', async () => {
    for (const count of [1, 100, 2]) expect(await run(count)).toEqual(Array(count).fill(refused))
    expect(pool.pids).toHaveLength(1)
    expect(readdirSync(`/proc/${pool.pids[0]}/fd`).sort()).toEqual(['0', '1', '2', '3', '4'])
  })

  test('ends after the first one when it is not to go on', async () => {
    let looks = 0
    signal('SIGSTOP')
    const goesOn = () => {
      looks++
      return false
    }
    const results = run(100, { budget: { asleepIn: 'nothing', leftMs: 1 }, goesOn })
    await until(() => looks > 0, 'the pool looks')
    signal('SIGCONT')
    expect(await results).toEqual([refused, ...unbegun(99)])
    expect(await run(2)).toEqual([refused, refused])
  })

  test('whose worker is late or lost costs the one that it was at', async () => {
    await run(100)
    signal('SIGSTOP')
    expect(await run(100, { stuckMs: 200 })).toEqual([expect.any(NotInTime), ...unbegun(99)])
    await run(100)
    await until(() => pool.pids.length === 1, 'the killed worker is reaped')
    signal('SIGSTOP')
    const lost = run(100)
    signal('SIGKILL')
    expect(await lost).toEqual([expect.any(WorkerLost), ...unbegun(99)])
  })
})

test('a worker that is ended from outside costs its job, not the pool', async () => {
  const fd = openSync(path.join(folder, 'file'), 'w')
  const chmod = () => operateOnFile(pool, uid, fd, { kind: 'chmod', mode: 0o600 }, soonMs)
  process.kill(pool.pids[0]!, 'SIGSTOP')
  const lost = chmod()
  process.kill(pool.pids[0]!, 'SIGKILL')
  await expect(lost).rejects.toThrow('a worker process has ended')
  await chmod()
  closeSync(fd)
})

test('where the program is missing or no program, that is said with its place', () => {
  expect(() => new WorkerPool(path.join(folder, 'none')).start()).toThrow(
    `worker program ${folder}/none is missing`,
  )
  writeFileSync(path.join(folder, 'text'), 'no program', { mode: 0o755 })
  const text = new WorkerPool(path.join(folder, 'text'))
  expect(() => text.start()).toThrow(/text can't be started: posix_spawn: E8/)
  text.close()
})

test('workers end with their broker, whatever they are at', async () => {
  // It has answered once, so that it has asked the kernel to end it with its parent.
  const script = `
    const { WorkerPool } = require(${JSON.stringify(path.join(__dirname, '../../dist/src/broker/worker/worker-pool.js'))})
    const { operateOnFile } = require(${JSON.stringify(path.join(__dirname, '../../dist/src/broker/worker/file-operation.js'))})
    const pool = new WorkerPool()
    pool.start()
    const file = require('node:fs').openSync(${JSON.stringify(path.join(folder, 'file'))}, 'w')
    operateOnFile(pool, 0, file, { kind: 'chmod', mode: 0o600 }, ${soonMs}).then(() => {
      process.kill(pool.pids[0], 'SIGSTOP')
      console.log(pool.pids[0])
    })`
  const broker = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = Number(
    await new Promise<string>(resolve => broker.stdout.once('data', data => resolve(String(data)))),
  )
  const pidfd = native.pidfdOpen(pid)
  broker.kill('SIGKILL')
  await until(() => !native.isAlive(pidfd), 'the worker is gone')
  closeSync(pidfd)
})
