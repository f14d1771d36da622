/** Proves that exit watches, pidfds and exec do what their contract says, also with descriptors that cross. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { ExitWatch, native, ReadableWatch } from '../../native'
import { until } from '../support/until'
import { checkFdLeaks, childOutput, scratchDirectory } from './harness'

checkFdLeaks()
const directory = scratchDirectory()
const code = (name: string) => expect.objectContaining({ name: 'SystemError', code: name })

test('an exit watch calls once when the process ends, and not before', async () => {
  const child = spawn('/bin/sleep', ['60'], { stdio: 'ignore' })
  const ended = new Promise(resolve => child.once('exit', resolve))
  let calls = 0
  const pidfd = native.pidfdOpen(child.pid!)
  new ExitWatch(native.dupFd(pidfd), () => calls++)
  await new Promise(resolve => setTimeout(resolve, 30))
  expect([calls, native.isAlive(pidfd)]).toEqual([0, true])
  native.pidfdSendSignal(pidfd, constants.signals.SIGKILL)
  await until(() => calls > 0, 'a call')
  await ended
  expect(native.isAlive(pidfd)).toBe(false)
  expect(() => native.pidfdSendSignal(pidfd, 0)).toThrow(code('ESRCH'))
  await new Promise(resolve => setTimeout(resolve, 20))
  expect(calls).toBe(1)
  // One that watches from after the end is told as well, and a closed one is not.
  let late = 0
  let closed = 0
  new ExitWatch(native.dupFd(pidfd), () => late++)
  const watch = new ExitWatch(pidfd, () => closed++)
  watch.close()
  watch.close()
  await until(() => late > 0, 'a call')
  expect(closed).toBe(0)
})

test('a readable watch calls once for each time that it is asked, and never after it is closed', async () => {
  const [left, right] = native.socketPair()
  let calls = 0
  const watch = new ReadableWatch(native.dupFd(left), () => calls++)
  await new Promise(resolve => setTimeout(resolve, 30))
  expect(calls).toBe(0)
  writeSync(right, 'x')
  await until(() => calls > 0, 'a call')
  // It stays readable, and nothing is said of it again before that is asked for.
  await new Promise(resolve => setTimeout(resolve, 30))
  expect(calls).toBe(1)
  watch.again()
  await until(() => calls > 1, 'the next call')
  watch.again()
  watch.close()
  watch.close()
  watch.again()
  await new Promise(resolve => setTimeout(resolve, 30))
  expect(calls).toBe(2)
  for (const fd of [left, right]) closeSync(fd)
  expect(() => new ReadableWatch(999_999, () => {})).toThrow(
    expect.objectContaining({ code: 'EBADF', syscall: 'uv_poll_init' }),
  )
})

test('pidfds of what does not exist are named errors', () => {
  expect(() => native.pidfdOpen(0x3fffff)).toThrow(code('ESRCH'))
  expect(() => native.pidfdOpen(-1)).toThrow(code('EINVAL'))
  // A number that was a process once may be a thread's now.
  const thread = readdirSync('/proc/self/task')
    .map(Number)
    .find(id => id !== process.pid)!
  expect(() => native.pidfdOpen(thread)).toThrow(code('ESRCH'))
  expect(() => native.isAlive(999_999)).toThrow(code('EBADF'))
  expect(() => new ExitWatch(999_999, () => {})).toThrow(
    expect.objectContaining({ code: 'EBADF', syscall: 'uv_poll_init' }),
  )
})

test("a descriptor of another process is that process's open file, and what does not exist is a named error", async () => {
  const file = path.join(directory, 'theirs')
  writeFileSync(file, 'first second')
  const own = openSync(file, 'r')
  const child = spawn('/bin/cat', [], { stdio: ['pipe', 'ignore', 'ignore', own] })
  const ended = new Promise(resolve => child.once('exit', resolve))
  const pidfd = native.pidfdOpen(child.pid!)
  const taken = native.pidfdGetfd(pidfd, 3)
  const text = Buffer.alloc(5)
  readSync(taken, text)
  // The position is the open file's.
  readSync(own, Buffer.alloc(1))
  expect([text.toString(), readFileSync(own, 'utf8')]).toEqual(['first', 'second'])
  expect(() => native.pidfdGetfd(pidfd, 4)).toThrow(code('EBADF'))
  expect(() => native.pidfdGetfd(own, 3)).toThrow(code('EBADF'))
  child.kill()
  await ended
  expect(() => native.pidfdGetfd(pidfd, 3)).toThrow(code('ESRCH'))
  for (const fd of [own, pidfd, taken]) closeSync(fd)
})

test('exec moves descriptors to their numbers, even where sources and targets cross, and closes all others', () => {
  for (const name of ['a', 'b', 'c']) writeFileSync(path.join(directory, name), name)
  const output = childOutput(`
    const open = name => fs.openSync(${JSON.stringify(directory)} + '/' + name, 'r')
    const a = open('a'), b = open('b'), c = open('c')
    const script = 'cat <&' + a + ' <&' + a + '; cat <&' + b + '; cat <&9; echo; readlink /proc/self/fd/*; true'
    addon.exec('bash', ['bash', '--norc', '-c', script], ['PATH=/usr/bin:/bin'],
      [{ from: a, to: b }, { from: b, to: a }, { from: c, to: 9 }])`)
  const [content, ...open] = output.split('\n')
  expect(content).toBe('bac')
  expect(open.filter(target => target.startsWith(directory)).sort()).toEqual(
    ['a', 'b', 'c'].map(name => path.join(directory, name)),
  )
})

test('a program started by exec finds signals, streams, arguments and environment as a shell would give them', () => {
  const output = childOutput(`
    addon.exec('/bin/sh', ['name of its own', '-c', 'echo $0 $1; env; grep -E "Sig(Ign|Blk)" /proc/self/status', 'zero', 'one two'],
      ['ONLY=this'], [])`)
  expect(output).toMatch(/^zero one two\n/)
  expect(output).toContain('ONLY=this')
  expect(output).not.toContain('HOME=')
  const mask = (name: string) => Number.parseInt(new RegExp(`${name}:\\s+(\\w+)`).exec(output)![1]!, 16)
  expect([mask('SigIgn') & (1 << (constants.signals.SIGPIPE - 1)), mask('SigBlk')]).toEqual([0, 0])
})

test('an exec that fails leaves descriptors and signals as they were', () => {
  const output = childOutput(`
    const table = () => fs.readdirSync('/proc/self/fd').map(fd => {
      try { return fd + ' ' + fs.readlinkSync('/proc/self/fd/' + fd) + fs.readFileSync('/proc/self/fdinfo/' + fd, 'utf8').split('\\n')[1] }
      catch { return '' }
    }).filter(line => !line.includes('/fd'))
    const signals = () => fs.readFileSync('/proc/self/status', 'utf8').match(/Sig.*/g).join()
    const fd = fs.openSync('/dev/null')
    const before = [table(), signals()]
    const results = [
      addon.exec('no-such-program', ['x'], [], [{ from: fd, to: 0 }, { from: 0, to: fd }, { from: fd, to: 50 }, { from: fd, to: 50 }]),
      addon.exec('/dev/null', ['x'], [], [{ from: fd, to: 1 }]),
      addon.exec('true', ['x'], [], [{ from: 999, to: 5 }]),
      addon.exec('true', ['x'], [], [{ from: fd, to: -1 }]),
    ]
    const same = JSON.stringify(before) === JSON.stringify([table(), signals()])
    console.log(JSON.stringify({ results, same }))`)
  const { ENOENT, EACCES, EBADF } = constants.errno
  expect(JSON.parse(output)).toEqual({ results: [-ENOENT, -EACCES, -EBADF, -EBADF], same: true })
  expect(() => native.exec('no-such-program', ['x'], [], [])).toThrow(code('ENOENT'))
  expect(() => native.exec('x', ['x'], [], [{} as never])).toThrow('from')
})
