/** Proves that a helper that hangs in the kernel, or dies, costs an error and never the broker. */
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Helper } from '../../src/broker/source/devdax/helper'
import { continueStopped } from '../../src/broker/source/devdax/stopped'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'

const order = { directory: '/nowhere', extents: [], alignBytes: 4096 }
let folder: string
let lock: number
let stuck: string[]
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-helper-'))
  lock = openSync(path.join(folder, 'lock'), 'w')
  stuck = []
})
afterEach(() => {
  closeSync(lock)
  rmSync(folder, { recursive: true })
})

function helperOf(program: string, limitMs: number, goOn?: () => void): Helper {
  const file = path.join(folder, 'program.js')
  writeFileSync(file, program)
  return new Helper(lock, reason => stuck.push(reason), { program: file, limitMs, ...(goOn && { goOn }) })
}

/** Children of this process, however far they have come. */
function children(): string[] {
  return readdirSync('/proc/self/task').flatMap(thread =>
    readFileSync(`/proc/self/task/${thread}/children`, 'latin1')
      .split(' ')
      .filter(pid => pid !== ''),
  )
}

test('a write that does not return is given up in time, and nothing more is asked', async () => {
  const before = children()
  const helper = helperOf(
    `process.on('message', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))`,
    300,
  )
  const asked = [helper.make(order), helper.remove('/nowhere', 'dax0.1', 0, 'unused')]
  const [first, second] = await Promise.allSettled(asked)
  expect(first).toMatchObject({ reason: { code: 'ETIMEDOUT', message: /making a device has not returned/ } })
  expect(second).toMatchObject({ reason: { code: 'ETIMEDOUT' } })
  expect(stuck).toHaveLength(1)
  await expect(helper.make(order)).rejects.toMatchObject({ code: 'EIO', message: stuck[0] })
  await until(() => children().every(pid => before.includes(pid)), 'the helper has ended')
  helper.close()
})

test('a broker that stood still itself takes the answers that came meanwhile', async () => {
  // Proves that a busy start, or a paused machine, is not taken for a kernel that hangs, however many orders wait.
  const answered = path.join(folder, 'answered')
  // Time enough for the first order, which starts the helper.
  const limitMs = 10_000
  const helper = helperOf(
    `let count = 0
     process.on('message', ({ id }) => {
       process.send({ id, result: { name: 'dax0.1', device: id } })
       if (++count === 100) require('fs').writeFileSync(${JSON.stringify(answered)}, '')
     })
     process.on('disconnect', () => process.exit())`,
    limitMs,
  )
  await helper.make(order)
  const asked = Array.from({ length: 99 }, () => helper.make(order))
  const pause = new Int32Array(new SharedArrayBuffer(4))
  const from = Date.now()
  while (!existsSync(answered) || Date.now() - from < limitMs + 500) Atomics.wait(pause, 0, 0, 10)
  expect(await Promise.all(asked)).toHaveLength(99)
  expect(stuck).toEqual([])
  helper.close()
})

test('one that ends in the middle fails its orders, and the next order starts another', async () => {
  const count = path.join(folder, 'count')
  writeFileSync(count, '')
  const helper = helperOf(
    `const fs = require('fs')
     fs.appendFileSync(${JSON.stringify(count)}, 'x')
     process.on('message', ({ id }) => {
       if (fs.readFileSync(${JSON.stringify(count)}, 'utf8').length === 1) process.exit(3)
       process.send({ id, result: { name: 'dax0.1', device: 5 } })
     })
     process.on('disconnect', () => process.exit())`,
    20_000,
  )
  await expect(helper.make(order)).rejects.toMatchObject({
    code: 'EIO',
    message: expect.stringContaining('(3)'),
  })
  await expect(helper.make(order)).resolves.toEqual({ name: 'dax0.1', device: 5 })
  expect(stuck).toEqual([])
  helper.close()
})

test('whom it had stopped when it was given up goes on', async () => {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
  const state = () => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))![1]
  const record = path.join(folder, 'record')
  const helper = helperOf(
    `const { Stopped } = require(${JSON.stringify(path.join(packageRoot, 'dist/src/broker/source/devdax/stopped'))})
     process.on('message', async () => {
       await new Stopped(${JSON.stringify(record)}).stop(${child.pid})
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
     })`,
    10_000,
    () => continueStopped(record),
  )
  const asked = helper.remove('/nowhere', 'dax0.1', 0, 'taken').catch(error => error)
  while (state() !== 'T') await new Promise(resolve => setTimeout(resolve, 5))
  await expect(asked).resolves.toMatchObject({ code: 'ETIMEDOUT', message: /removing a device/ })
  while (state() === 'T') await new Promise(resolve => setTimeout(resolve, 5))
  child.kill('SIGKILL')
  helper.close()
})

test('it has the lock, so that no other broker comes in between while it works', async () => {
  const helper = helperOf(
    `process.on('message', ({ id }) => process.send({ id, result: { link: require('fs').readlinkSync('/proc/self/fd/4') } }))
     process.on('disconnect', () => process.exit())`,
    20_000,
  )
  await expect(helper.make(order)).resolves.toEqual({ link: path.join(folder, 'lock') })
  helper.close()
})
