/** Proves that who is held still goes on afterwards, also when the process that did it was killed before it could say so. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startTimeOf } from '../../src/broker/lease/process'
import { continueAbandoned, continueStopped, recordOf, Stopped } from '../../src/broker/source/devdax/stopped'
import { packageRoot } from '../support/package-root'
import { until } from '../support/until'

let folder: string
let record: string
let child: ChildProcess
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-stopped-'))
  record = path.join(folder, 'record')
  child = spawn('sleep', ['1000'], { stdio: 'ignore' })
})
afterEach(() => {
  child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

const state = () => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))![1]

test('one that is let go runs again, and nothing is left on record', async () => {
  const stopped = new Stopped(record)
  expect(await stopped.stop(child.pid!)).toBe(true)
  expect(state()).toBe('T')
  expect(readFileSync(record, 'latin1')).toBe(
    [process.pid, child.pid!].map(pid => `${pid} ${startTimeOf(pid)}\n`).join(''),
  )
  stopped.go()
  await until(() => state() !== 'T', 'the process to go on')
  expect(continueStopped(record)).toEqual([])
})

test('one whose stopper was killed is continued by whoever comes next', async () => {
  const module = path.join(packageRoot, 'dist/src/broker/source/devdax/stopped')
  const script = `const { Stopped } = require(${JSON.stringify(module)})
    new Stopped(${JSON.stringify(folder)} + '/membroker-stopped.' + process.pid).stop(${child.pid}).then(() => process.kill(process.pid, 'SIGKILL'))`
  const stopper = spawn(process.execPath, ['-e', script], { stdio: 'inherit' })
  await new Promise(resolve => stopper.once('exit', resolve))
  expect(stopper.signalCode).toBe('SIGKILL')
  expect(state()).toBe('T')
  expect(continueAbandoned(folder)).toEqual([child.pid])
  await until(() => state() !== 'T', 'the process to go on')
  expect(readdirSync(folder)).toEqual([])
})

test('what a living process has stopped is not for others to continue', async () => {
  const stopped = new Stopped(recordOf(process.pid, folder))
  expect(await stopped.stop(child.pid!)).toBe(true)
  expect(continueAbandoned(folder)).toEqual([])
  expect(state()).toBe('T')
  expect(continueStopped(recordOf(process.pid, folder))).toEqual([child.pid])
  await until(() => state() !== 'T', 'the process to go on')
})

test('one that somebody else had stopped stays so', async () => {
  child.kill('SIGSTOP')
  await until(() => state() === 'T', 'the process to stop')
  const stopped = new Stopped(record)
  expect(await stopped.stop(child.pid!)).toBe(true)
  stopped.go()
  expect(continueStopped(record)).toEqual([])
  expect(state()).toBe('T')
})

test('a torn record and a number that is another process now do no harm', async () => {
  child.kill('SIGSTOP')
  await until(() => state() === 'T', 'the process to stop')
  const start = startTimeOf(child.pid!)!
  writeFileSync(record, `1 1\n${child.pid} ${start + 1}\n999999999 1\n${child.pid} ${start}`)
  expect(continueStopped(record)).toEqual([])
  expect(state()).toBe('T')
})
