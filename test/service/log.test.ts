/**
 * Proves that a broker whose log nobody reads goes on serving, loses log lines only, tells how many, and that its last
 * words before the end are in the log all the same.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'
import { TestBroker, until } from '../support/test-broker'

let broker: TestBroker
afterEach(() => broker.dispose())

/** Those that have come to their end: a pipe may be read in the middle of one. */
const lines = () => broker.log.split('\n').slice(0, -1)

/** Something is logged for each of them: refusals, at level debug. */
async function refusals(count: number): Promise<void> {
  const client = broker.client()
  for (let index = 0; index < count; index++)
    await client.call('GetAllocation', { name: `${index}-${'x'.repeat(200)}` }).catch(() => {})
  client.close()
}

test('a full pipe on standard error does not stop it, and what was lost is counted', async () => {
  broker = await TestBroker.start()
  const { stderr } = broker.process!
  stderr!.pause()
  // More than the pipe, this process and the broker's queue hold.
  await refusals(6000)
  const heardBefore = (broker.log.match(/"msg":"refused"/g) ?? []).length
  stderr!.resume()
  await until(() => lines().some(text => text.includes('log lines were lost')), 'the account of it')
  await refusals(1)
  const line = lines().find(text => text.includes('log lines were lost'))!
  const { dropped } = JSON.parse(line) as { dropped: number }
  const heard = () => (broker.log.match(/"msg":"refused"/g) ?? []).length
  expect(heardBefore).toBeLessThan(6000)
  await until(() => heard() + dropped >= 6001, 'every line, read or counted')
  expect(heard() + dropped).toBeLessThan(6001 + 10)
  // Each line that came is whole.
  for (const text of lines()) JSON.parse(text)
})

test('the reader’s end costs nothing but the log', async () => {
  broker = await TestBroker.start()
  broker.process!.stderr!.destroy()
  await refusals(50)
  const client = broker.client()
  expect((await client.call('GetStatus', {})).pid).toBe(broker.pid)
})

test('a line longer than a pipe’s atomic write arrives whole, and the last line before the end does', async () => {
  broker = await TestBroker.start()
  const client = broker.client()
  await client.call('GetAllocation', { name: 'y'.repeat(20_000) }).catch(() => {})
  client.close()
  await broker.kill('SIGTERM')
  await until(() => lines().some(text => text.includes('shutting down')), 'its last words')
  expect(broker.log).toMatch('y'.repeat(20_000))
  for (const text of lines()) JSON.parse(text)
})

/** A broker that logs into a file, as under a supervisor that redirects it. */
async function startInto(file: string): Promise<{ child: ChildProcess; log: () => string }> {
  const fd = openSync(file, 'a')
  const [program, ...args] = broker.arguments()
  const child = spawn(process.execPath, [program!, ...args], {
    stdio: ['ignore', 'ignore', fd],
    cwd: packageRoot,
  })
  closeSync(fd)
  const log = () => readFileSync(file, 'utf8')
  await until(() => log().includes('"msg":"ready"'), 'a broker')
  return { child, log }
}

test('a log into a file is complete', async () => {
  broker = await TestBroker.start()
  await broker.kill()
  const file = path.join(broker.folder, 'log')
  const { child, log } = await startInto(file)
  await refusals(2000)
  const exit = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  await exit
  expect((log().match(/"msg":"refused"/g) ?? []).length).toBe(2000)
  expect(log().trimEnd().split('\n').at(-1)).toMatch(/shutting down/)
})

test('lines that a full disk has no room for are counted, once it has, and no line is torn by them', async () => {
  if (!needsRoot('a file system of its own that is full')) return
  broker = await TestBroker.start()
  await broker.kill()
  const folder = path.join(broker.folder, 'disk')
  mkdirSync(folder)
  runNow('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder])
  try {
    const file = path.join(folder, 'log')
    const { child, log } = await startInto(file)
    await refusals(600)
    const kept = (log().match(/"msg":"refused"/g) ?? []).length
    expect(kept).toBeLessThan(600)
    runNow('mount', ['-o', 'remount,size=4m', folder])
    await until(() => log().includes('log lines were lost'), 'the account of them')
    await refusals(1)
    const exit = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGTERM')
    await exit
    const lines = log().trimEnd().split('\n')
    const whole = lines.flatMap(line => {
      try {
        return [JSON.parse(line) as { msg: string; dropped?: number }]
      } catch {
        return []
      }
    })
    // Where the disk was full, a line may have been cut off.
    expect(lines.length - whole.length).toBeLessThanOrEqual(1)
    const dropped = whole.reduce((sum, line) => sum + (line.dropped ?? 0), 0)
    const refused = whole.filter(({ msg }) => msg === 'refused').length
    expect(refused + dropped).toBeGreaterThanOrEqual(601)
    expect(refused + dropped).toBeLessThan(601 + 10)
    expect(whole.at(-1)!.msg).toMatch(/shutting down/)
  } finally {
    runNow('umount', [folder])
  }
})
