/**
 * Proves that a scan names who has a file open or mapped, also by parts of it; that processes which keep the reader
 * waiting cost a moment and are "not seen"; and that nothing that could not be looked at counts as seen.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { commandsOf } from '../../src/broker/worker/commands'
import { HolderScan } from '../../src/broker/worker/holder-scan'
import { WorkerPool } from '../../src/broker/worker/worker-pool'
import { childArguments } from '../native/harness'
import { StuckMemoryLocks } from '../program/stuck-memory-lock'
import { needsRoot } from '../support/needs-root'
import { until } from '../support/test-broker'

const withoutRights = needsRoot('processes of other uids that are stuck') ? it : it.skip
/** The bounds of a scan are a second and a fifth; the rest is for a busy machine. */
const boundedMs = 20_000
let folder: string
let pool: WorkerPool
let scan: HolderScan
const children: ChildProcess[] = []

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-scan-'))
  pool = new WorkerPool()
  scan = new HolderScan(pool)
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('close', resolve))
  }
  pool.close()
  await until(() => pool.pids.length === 0, 'the workers are gone')
  rmSync(folder, { recursive: true, force: true })
})

async function holder(file: string): Promise<number> {
  const child = spawn(
    process.execPath,
    childArguments(`
      const open = () => fs.openSync(${JSON.stringify(file)}, 'r+')
      const fds = [open(), open()]
      global.windows = [new addon.Window(fds[0], 0, 4096, true), new addon.Window(fds[0], 4096, 4096, false)]
      fs.closeSync(fds[1])
      console.log('ready')
      process.stdin.resume()`),
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  children.push(child)
  await new Promise(resolve => child.stdout.once('data', resolve))
  return child.pid!
}

function newFile(): { file: string; dev: number; ino: number } {
  const file = path.join(folder, 'held')
  const fd = openSync(file, 'w+')
  writeSync(fd, Buffer.alloc(8192))
  closeSync(fd)
  const { dev, ino } = statSync(file)
  return { file, dev, ino }
}

test('who has the file open or mapped is named, by mappings of the parts asked for', async () => {
  const { file, dev, ino } = newFile()
  expect((await scan.find(1, { dev, ino })).holders).toEqual([])
  const pid = await holder(file)
  for (const first of [[], [pid], [0x3fffff, pid]])
    expect((await scan.find(1, { dev, ino }, first)).holders).toEqual([{ pid, fds: 1, maps: 2 }])
  const parts = [{ offset: 4096, length: 1 }]
  expect((await scan.find(1, { dev, ino, parts })).holders).toEqual([{ pid, fds: 1, maps: 1 }])
  const beyond = [{ offset: 8192, length: 4096 }]
  expect((await scan.find(1, { dev, ino, parts: beyond })).holders).toEqual([{ pid, fds: 1, maps: 0 }])
})

withoutRights(
  'processes with a stuck memory lock are not seen, in bounded time; others are; and again the next time',
  async () => {
    const { file, dev, ino } = newFile()
    const pid = await holder(file)
    const locks = await StuckMemoryLocks.start({ uid: 65532, count: 3 })
    try {
      for (let round = 0; round < 3; round++) {
        const begun = performance.now()
        const { holders, unseen } = await scan.find(1, { dev, ino }, [pid])
        expect(performance.now() - begun).toBeLessThan(boundedMs)
        expect(holders).toContainEqual({ pid, fds: 1, maps: 2 })
        expect(unseen).toBeGreaterThanOrEqual(1)
      }
      // Nobody else waits meanwhile: a name stands for a command line that does not come.
      const commands = await commandsOf(pool, [process.pid, pid])
      expect(commands.get(pid)).toContain(process.execPath)
    } finally {
      await locks.end()
    }
  },
)

test('without any worker nobody is seen, and nothing breaks', async () => {
  const { dev, ino } = newFile()
  const none = new WorkerPool(path.join(folder, 'none'))
  expect(await new HolderScan(none).find(1, { dev, ino })).toEqual({
    holders: [],
    unseen: 1,
    opaque: new Set([0]),
  })
  expect((await commandsOf(none, [process.pid])).get(process.pid)).not.toBe('')
})
