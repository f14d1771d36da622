/** Proves that sockets carry bytes and descriptors in order, and lose no descriptor, whatever either end does. */
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { native, Socket } from '../../native'
import { until } from '../support/until'
import { checkFdLeaks, childArguments, childOutput, runChild, scratchDirectory } from './harness'

// An open socket keeps the process alive: a test that fails half-way must not leave any. Before the count.
const opened: Socket[] = []
afterEach(() => {
  for (const socket of opened.splice(0)) socket.close()
})
checkFdLeaks()
const directory = scratchDirectory()
const { EPIPE, EPROTO, EINVAL, EBADF } = constants.errno

/** A socket that keeps what it gets. */
class Recorder {
  readonly socket: Socket
  readonly chunks: Buffer[] = []
  readonly fds: number[] = []
  readonly ends: number[] = []
  drains = 0
  constructor(fd: number) {
    this.socket = new Socket(fd, {
      onData: (bytes, fds) => {
        this.chunks.push(bytes)
        this.fds.push(...fds)
      },
      onEnd: errno => this.ends.push(errno),
      onDrain: () => this.drains++,
    })
    opened.push(this.socket)
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks)
  }
}

function pair(): [Recorder, Recorder] {
  const [left, right] = native.socketPair()
  return [new Recorder(left), new Recorder(right)]
}

test("bytes and 253 descriptors, the kernel's most, arrive; the copies are close-on-exec and ours to close", async () => {
  const [left, right] = pair()
  const file = path.join(directory, 'sent')
  writeFileSync(file, 'content')
  const sent = Array.from({ length: 253 }, () => openSync(file, 'r'))
  expect(left.socket.send(Buffer.from('x'), sent)).toBe(0)
  await until(() => right.fds.length > 0, 'descriptors')
  expect(right.fds.length).toBe(253)
  expect(right.bytes.toString()).toBe('x')
  const { ino } = statSync(file)
  for (const fd of right.fds) {
    expect(fstatSync(fd).ino).toBe(ino)
    const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!
    expect(Number.parseInt(flags, 8) & 0o2000000).not.toBe(0)
    closeSync(fd)
  }
  left.socket.close()
  await until(() => right.ends.length > 0, 'the end')
  expect(right.ends).toEqual([0])
})

test('descriptors come with the message they were sent with, however messages were queued', async () => {
  const [left, right] = pair()
  right.socket.pause()
  const sizes: number[] = []
  // Fill the socket, so that all of the rest goes through the queue.
  while (left.socket.queuedBytes === 0) left.socket.send(Buffer.alloc(65536), [])
  const devices = ['/dev/null', '/dev/zero', '/dev/full']
  for (const device of devices) {
    left.socket.send(Buffer.from('plain;'), [])
    left.socket.send(Buffer.from(`${device};`), [openSync(device, 'r')])
    left.socket.send(Buffer.from('after;'), [])
    sizes.push(left.socket.queuedBytes)
  }
  expect(sizes).toEqual([...sizes].sort((a, b) => a - b))
  right.socket.resume()
  await until(() => right.bytes.toString('latin1').endsWith('/dev/full;after;'), 'the last message')
  expect(right.fds.map(fd => fstatSync(fd).rdev)).toEqual(devices.map(device => statSync(device).rdev))
  expect(left.drains).toBe(1)
  right.fds.forEach(closeSync)
  left.socket.close()
  right.socket.close()
})

test('a read never goes beyond the write that carried descriptors', async () => {
  const [left, right] = pair()
  right.socket.pause()
  left.socket.send(Buffer.from('one;'), [])
  left.socket.send(Buffer.from('two;'), [openSync('/dev/null', 'r')])
  left.socket.send(Buffer.from('three;'), [])
  right.socket.resume()
  await until(() => right.bytes.length === 14, 'all bytes')
  expect(right.chunks.map(String)).toEqual(['one;two;', 'three;'])
  right.fds.forEach(closeSync)
  left.socket.close()
  right.socket.close()
})

test('what nobody has read can be dropped, and nobody has its descriptors', async () => {
  const [left, right] = native.socketPair()
  const [witness, sent] = native.socketPair()
  const other = new Recorder(witness)
  new Recorder(left).socket.send(Buffer.from('xyz'), [sent])
  expect(native.discardUnread(right)).toBe(3)
  await until(() => other.ends.length > 0, 'the end of the last copy')
  expect(native.discardUnread(right)).toBe(0)
  closeSync(right)
})

test("what can't be sent is refused, its descriptors are closed, and the socket goes on", async () => {
  const [left, right] = pair()
  const tooMany = Array.from({ length: 254 }, () => openSync('/dev/null', 'r'))
  expect(left.socket.send(Buffer.from('x'), tooMany)).toBe(-EINVAL)
  expect(left.socket.send(Buffer.alloc(0), [openSync('/dev/null', 'r')])).toBe(-EINVAL)
  expect(left.socket.send(Buffer.from('x'), [openSync('/dev/null', 'r'), 999_999])).toBe(-EBADF)
  expect(() => left.socket.send('text' as unknown as Buffer, [openSync('/dev/null', 'r')])).toThrow(
    'Uint8Array',
  )
  expect(left.socket.send(Buffer.from('good'), [])).toBe(0)
  await until(() => right.bytes.length > 0, 'bytes')
  expect(right.bytes.toString()).toBe('good')
  left.socket.close()
  right.socket.close()
})

test('bytes for a peer that does not read wait in the queue, in order, and onDrain tells when they are gone', async () => {
  const [left, right] = pair()
  right.socket.pause()
  const total = 8 << 20
  const bytes = Buffer.alloc(total, 0)
  for (let offset = 0; offset < total; offset += 4) bytes.writeUInt32LE(offset, offset)
  for (let offset = 0; offset < total; offset += 10_000) {
    expect(left.socket.send(bytes.subarray(offset, offset + 10_000), [])).toBe(left.socket.queuedBytes)
  }
  expect(left.socket.queuedBytes).toBeGreaterThan(total / 2)
  await new Promise(resolve => setTimeout(resolve, 20))
  expect(right.chunks).toEqual([])
  right.socket.resume()
  await until(() => left.drains > 0, 'room')
  await until(() => right.bytes.length === total, 'all bytes')
  expect(right.bytes.equals(bytes)).toBe(true)
  expect(left.drains).toBe(1)
  expect(left.socket.queuedBytes).toBe(0)
  left.socket.close()
  right.socket.close()
})

test('closing with a full queue closes the descriptors in it', () => {
  const [left, right] = pair()
  right.socket.pause()
  while (left.socket.queuedBytes === 0) left.socket.send(Buffer.alloc(65536), [])
  left.socket.send(Buffer.from('x'), [openSync('/dev/null', 'r')])
  left.socket.close()
  left.socket.close()
  right.socket.close()
  // checkFdLeaks is the proof.
  expect(left.socket.send(Buffer.from('x'), [openSync('/dev/null', 'r')])).toBe(-EPIPE)
})

test('a peer that goes away is told once, after the last of its bytes, and sending fails from then on', async () => {
  const [left, right] = pair()
  left.socket.send(Buffer.from('last words'), [])
  left.socket.close()
  await until(() => right.ends.length > 0, 'the end')
  expect(right.bytes.toString()).toBe('last words')
  expect(right.ends).toEqual([0])
  expect(right.socket.send(Buffer.from('x'), [openSync('/dev/null', 'r')])).toBe(-EPIPE)
  right.socket.close()
})

test('a write that fails does not lose what the peer sent before it left', async () => {
  const [left, right] = pair()
  left.socket.send(Buffer.from('reply'), [])
  left.socket.close()
  expect(right.socket.send(Buffer.from('too late'), [])).toBe(-EPIPE)
  await until(() => right.ends.length > 0, 'the end')
  expect(right.bytes.toString()).toBe('reply')
  expect(right.ends).toEqual([EPIPE])
})

test('a paused socket with a queue learns that its peer is gone', async () => {
  const [left, right] = pair()
  left.socket.pause()
  right.socket.pause()
  while (left.socket.queuedBytes === 0) left.socket.send(Buffer.alloc(65536), [])
  right.socket.close()
  await until(() => left.ends.length > 0, 'the end')
  expect(left.ends[0]).toBeGreaterThan(0)
  expect(left.socket.queuedBytes).toBe(0)
})

test('close() inside any callback is safe, and nothing is called after it', async () => {
  const calls: string[] = []
  const [a, b] = native.socketPair()
  const first: Socket = new Socket(a, {
    onData: (_bytes, fds) => {
      calls.push('data')
      fds.forEach(closeSync)
      first.close()
    },
    onEnd: () => calls.push('end'),
    onDrain: () => calls.push('drain'),
  })
  const second: Socket = new Socket(b, {
    onData: () => {},
    onEnd: () => {
      calls.push('second end')
      second.close()
    },
    onDrain: () => {
      calls.push('second drain')
      second.close()
    },
  })
  second.send(Buffer.from('one'), [openSync('/dev/null', 'r')])
  second.send(Buffer.from('two'), [openSync('/dev/null', 'r')])
  await until(() => calls.includes('second end'), 'the end')
  expect(calls).toEqual(['data', 'second end'])

  const [c, d] = native.socketPair()
  const reader = new Recorder(d)
  reader.socket.pause()
  const writer: Socket = new Socket(c, {
    onData: () => {},
    onEnd: () => calls.push('never'),
    onDrain: () => writer.close(),
  })
  while (writer.queuedBytes === 0) writer.send(Buffer.alloc(65536), [])
  reader.socket.resume()
  await until(() => reader.ends.length > 0, 'the end')
  expect(reader.ends).toEqual([0])
})

test('what a callback throws is an uncaughtException, and the socket goes on', () => {
  const output = childOutput(`
    const seen = []
    process.on('uncaughtException', error => seen.push(error.message))
    const [a, b] = addon.socketPair()
    let count = 0
    const left = new addon.Socket(a, quiet)
    const right = new addon.Socket(b, { ...quiet,
      onData(bytes) {
        Promise.resolve().then(() => seen.push('microtask'))
        if (++count === 2) { left.close(); right.close(); setImmediate(() => console.log(JSON.stringify(seen))) }
        else setImmediate(() => left.send(Buffer.from('again'), []))
        throw new Error('thrown ' + count)
      } })
    left.send(Buffer.from('x'), [])`)
  expect(JSON.parse(output)).toEqual(['thrown 1', 'microtask', 'thrown 2', 'microtask'])
})

test('without a handler, what a callback throws ends the process as Node does, with status 1', () => {
  const { status, signal, stderr } = runChild(`
    const [a, b] = addon.socketPair()
    new addon.Socket(a, { ...quiet, onData() { throw new Error('on purpose') } })
    new addon.Socket(b, quiet).send(Buffer.from('x'), [])`)
  expect([status, signal]).toEqual([1, null])
  expect(stderr).toContain('on purpose')
})

test('a paused socket keeps the process alive, a closed one does not', () => {
  const script = (then: string) => `
    const [a, b] = addon.socketPair()
    const sockets = [new addon.Socket(a, quiet), new addon.Socket(b, quiet)]
    sockets.forEach(socket => socket.pause())
    setTimeout(() => { console.log('alive'); ${then} }, 50).unref()`
  expect(childOutput(script('sockets.forEach(socket => socket.close())'))).toBe('alive')
})

test('truncated descriptors (MSG_CTRUNC) end the socket with EPROTO, and those that came are closed', () => {
  const output = childOutput(
    `
    const [a, b] = addon.socketPair()
    const left = new addon.Socket(a, quiet)
    const ends = []
    const right = new addon.Socket(b, { ...quiet, onEnd: errno => ends.push(errno), onData: () => ends.push('data') })
    // So many that the receiving copies do not fit under the limit.
    const fds = []
    try { while (fds.length < 40) fds.push(fs.openSync('/dev/null')) } catch {}
    left.send(Buffer.from('x'), fds)
    const keep = []
    try { for (;;) keep.push(fs.openSync('/dev/zero')) } catch {}
    for (let count = 0; count < 5; count++) fs.closeSync(keep.pop())
    const timer = setInterval(() => {
      if (ends.length === 0) return
      clearInterval(timer)
      const open = fs.readdirSync('/proc/self/fd').filter(fd => {
        try { return fs.readlinkSync('/proc/self/fd/' + fd) === '/dev/null' } catch { return false }
      })
      left.close()
      console.log(JSON.stringify({ ends, left: open.filter(fd => fd > 2).length }))
    }, 5)`,
    { fdsMax: 100 },
  )
  expect(JSON.parse(output)).toEqual({ ends: [EPROTO], left: 0 })
})

test('peer() tells the credentials of a client under another uid, and a pidfd of it', async () => {
  const address = `\0membroker-peer-${process.pid}`
  const listener = native.listenUnix(address, 8)
  const seen: Array<{ pid: number; uid: number; gid: number; pidfd: number }> = []
  const sockets: Recorder[] = []
  const accepting = new native.Listener(
    listener,
    fd => {
      const recorder = new Recorder(fd)
      sockets.push(recorder)
      seen.push(recorder.socket.peer() as (typeof seen)[number])
    },
    errno => seen.push({ pid: -errno, uid: 0, gid: 0, pidfd: -1 }),
  )
  const child = spawn(
    process.execPath,
    childArguments(`new addon.Socket(addon.connectUnix(${JSON.stringify(address)}), quiet)`),
    { uid: 65534, gid: 65534, stdio: 'inherit' },
  )
  await until(() => seen.length > 0, 'a connection')
  expect(seen).toEqual([{ pid: child.pid, uid: 65534, gid: 65534, pidfd: expect.any(Number) }])
  const { pidfd } = seen[0]!
  expect(native.isAlive(pidfd)).toBe(true)
  expect(readFileSync(`/proc/self/fdinfo/${pidfd}`, 'utf8')).toMatch(
    new RegExp(`^Pid:\\s+${child.pid}$`, 'm'),
  )
  native.pidfdSendSignal(pidfd, constants.signals.SIGKILL)
  await until(() => sockets[0]!.ends.length > 0, 'the end')
  await until(() => !native.isAlive(pidfd), 'the end of the peer')
  await until(() => child.signalCode !== null, 'the exit of the peer')
  expect(child.signalCode).toBe('SIGKILL')
  closeSync(pidfd)
  accepting.close()
  accepting.close()
})

test('a listener that runs out of descriptors says so, pauses, and accepts again after resume()', () => {
  const output = childOutput(
    `
    const errors = []
    const accepted = []
    const fd = addon.listenUnix('\\0membroker-emfile-' + process.pid, 16)
    const listener = new addon.Listener(fd, fd => accepted.push(fd), errno => {
      errors.push(errno)
      setTimeout(() => { keep.splice(0, 5).forEach(fs.closeSync); listener.resume() }, 20)
    })
    const client = addon.connectUnix('\\0membroker-emfile-' + process.pid)
    const keep = []
    try { for (;;) keep.push(fs.openSync('/dev/null')) } catch {}
    const timer = setInterval(() => {
      if (accepted.length === 0) return
      clearInterval(timer)
      listener.close()
      console.log(JSON.stringify({ errors, accepted: accepted.length }))
    }, 5)`,
    { fdsMax: 60 },
  )
  expect(JSON.parse(output)).toEqual({ errors: [constants.errno.EMFILE], accepted: 1 })
})

test("addresses that can't be used are named errors", () => {
  expect(() => native.listenUnix('', 1)).toThrow(
    expect.objectContaining({ code: 'EINVAL', syscall: 'listen' }),
  )
  expect(() => native.listenUnix('x'.repeat(108), 1)).toThrow(
    expect.objectContaining({ code: 'ENAMETOOLONG' }),
  )
  expect(() => native.listenUnix('a\0b', 1)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
  expect(() => native.connectUnix(path.join(directory, 'absent'))).toThrow(
    expect.objectContaining({
      name: 'SystemError',
      code: 'ENOENT',
      message: 'connect: ENOENT, no such file or directory',
    }),
  )
  const file = path.join(directory, 'in-the-way')
  writeFileSync(file, '')
  expect(() => native.listenUnix(file, 1)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }))
  expect(() => native.connectUnix(file)).toThrow(expect.objectContaining({ code: 'ECONNREFUSED' }))
  const longest = path.join('/tmp', 'l'.repeat(102))
  const fd = native.listenUnix(longest, 1)
  closeSync(fd)
  unlinkSync(longest)
})

test('connecting to a full backlog is EAGAIN at once', () => {
  const address = `\0membroker-backlog-${process.pid}`
  const listener = native.listenUnix(address, 0)
  const clients: number[] = []
  try {
    expect(() => {
      for (let count = 0; count < 4; count++) clients.push(native.connectUnix(address))
    }).toThrow(expect.objectContaining({ code: 'EAGAIN' }))
  } finally {
    for (const fd of [listener, ...clients]) closeSync(fd)
  }
})
