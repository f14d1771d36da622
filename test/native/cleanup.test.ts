/** Proves that a process whose environment ends with any of the addon's objects open exits in order. */
import { runChild } from './harness'

// What is open when the environment ends. Each leaves `state` behind, as far as it has one.
const objects: Record<string, string> = {
  'idle sockets': `
    const [a, b] = addon.socketPair()
    keep.push(new addon.Socket(a, quiet), new addon.Socket(b, quiet))`,
  'paused sockets': `
    const [a, b] = addon.socketPair()
    keep.push(new addon.Socket(a, quiet), new addon.Socket(b, quiet))
    keep.forEach(socket => socket.pause())`,
  'closed sockets': `
    const [a, b] = addon.socketPair()
    for (const fd of [a, b]) new addon.Socket(fd, quiet).close()`,
  'a socket with a full queue': `
    const [a, b] = addon.socketPair()
    const socket = new addon.Socket(a, quiet)
    const other = new addon.Socket(b, quiet)
    other.pause()
    while (socket.queuedBytes === 0) socket.send(Buffer.alloc(65536), [])
    socket.send(Buffer.from('x'), [fs.openSync('/dev/null')])
    keep.push(socket, other)`,
  'sockets in the middle of talking': `
    const [a, b] = addon.socketPair()
    const echo = () => ({ ...quiet, onData(bytes) { this.socket.send(bytes, []) } })
    const left = echo(), right = echo()
    left.socket = new addon.Socket(a, left)
    right.socket = new addon.Socket(b, right)
    left.socket.send(Buffer.from('ping'), [])`,
  'an open listener': `
    const fd = addon.listenUnix('\\0membroker-cleanup-' + process.pid + Math.random(), 4)
    keep.push(new addon.Listener(fd, () => {}, () => {}))`,
  'a paused and a closed listener': `
    for (const end of ['pause', 'close']) {
      const fd = addon.listenUnix('\\0membroker-cleanup-' + process.pid + Math.random(), 4)
      const listener = new addon.Listener(fd, () => {}, () => {})
      listener[end]()
    }`,
  'exit watches': `
    keep.push(new addon.ExitWatch(addon.pidfdOpen(process.pid), () => {}))
    new addon.ExitWatch(addon.pidfdOpen(process.pid), () => {}).close()`,
  'readable watches, one that has called': `
    const [left, right] = addon.socketPair()
    fs.writeSync(right, 'x')
    keep.push(new addon.ReadableWatch(addon.dupFd(left), () => {}))
    new addon.ReadableWatch(addon.dupFd(left), () => {}).close()`,
  'windows, one revoked': `
    const fd = addon.memfdCreate('w', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 1 << 20)
    for (let index = 0; index < 3; index++) {
      const window = new addon.Window(fd, 0, 1 << 20, true)
      keep.push(window, Buffer.from(window.buffer))
    }
    keep[0].revoke()
    fs.closeSync(fd)`,
  'a revoked window with writes in flight': `
    const fd = addon.memfdCreate('w', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 64 << 20)
    const window = new addon.Window(fd, 0, 64 << 20, true)
    const target = addon.memfdCreate('target', { hugePageBytes: 0, allowSealing: true })
    const bytes = Buffer.from(window.buffer)
    for (let index = 0; index < 6; index++) fs.write(target, bytes, 0, bytes.length, 0, () => {})
    window.revoke()`,
  'a scrub in flight': `
    const fd = addon.memfdCreate('s', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 512 << 20)
    keep.push(new addon.Scrub(fd, 0, 512 << 20, 2))
    fs.closeSync(fd)`,
  'a cancelled scrub': `
    const fd = addon.memfdCreate('s', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 512 << 20)
    new addon.Scrub(fd, 0, 512 << 20, 2).cancel()`,
  'a finished scrub': `
    const fd = addon.memfdCreate('s', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 4096)
    new addon.Scrub(fd, 0, 4096, 2).errno.then(value => keep.push(value))`,
  'work on the thread pool': `
    const fd = addon.memfdCreate('f', { hugePageBytes: 0, allowSealing: true })
    for (let index = 0; index < 8; index++) {
      addon.fallocate(fd, 0, 16 << 20)
    }`,
  'table maps, one closed': `
    const fd = addon.memfdCreate('t', { hugePageBytes: 0, allowSealing: true })
    fs.ftruncateSync(fd, 8192)
    keep.push(new addon.TableMap(fd, 0, 8192), new addon.TableMap(fd, 0, 8192))
    keep[0].close()`,
}

const setUp = (script: string) => `const keep = []; { ${script} }`

// Each ending is a script around the one that leaves things open.
const endings: Record<string, (script: string) => string> = {
  'process.exit at once': script => `${setUp(script)} process.exit(0)`,
  'process.exit later': script => `${setUp(script)} setTimeout(() => process.exit(0), 20)`,
  'process.exit in an exit handler': script => `process.on('exit', () => { ${setUp(script)} })`,
  'a worker that is terminated': script => `
    const { Worker } = require('node:worker_threads')
    const start = () => new Worker(${JSON.stringify(
      'const addon = require(require("node:worker_threads").workerData); const fs = require("node:fs");' +
        'const quiet = { onData() {}, onEnd() {}, onDrain() {} };',
    )} + ${JSON.stringify(`${setUp(script)};require('node:worker_threads').parentPort.postMessage(1);setInterval(() => {}, 1000)`)}, {
      eval: true, trackUnmanagedFds: false, workerData: require.resolve(Object.keys(require.cache).find(name => name.endsWith('.node'))) })
    const mapsOpen = () => fs.readFileSync('/proc/self/maps', 'utf8').split('/memfd:').length
    const round = () => new Promise((resolve, reject) => {
      const worker = start()
      worker.once('error', reject)
      worker.once('message', () => setTimeout(() => worker.terminate().then(resolve, reject), 5))
    })
    ;(async () => {
      await round()
      const maps = mapsOpen()
      for (let count = 0; count < 4; count++) await round()
      if (maps !== 1 || mapsOpen() !== 1) throw new Error('mappings stay: ' + maps + ' ' + mapsOpen())
      process.exit(0)
    })()`,
  'a worker that calls process.exit': script => `
    const { Worker } = require('node:worker_threads')
    const worker = new Worker(${JSON.stringify(
      'const addon = require(require("node:worker_threads").workerData); const fs = require("node:fs");' +
        'const quiet = { onData() {}, onEnd() {}, onDrain() {} };',
    )} + ${JSON.stringify(`${setUp(script)};process.exit(0)`)}, {
      eval: true, trackUnmanagedFds: false, workerData: require.resolve(Object.keys(require.cache).find(name => name.endsWith('.node'))) })
    worker.once('error', error => { throw error })`,
}

// Proves that whatever is open when an environment ends, it ends in order: status 0, no signal, nothing said.
describe.each(Object.entries(objects))('%s', (_name, script) => {
  test.each(Object.entries(endings))('%s', (_ending, around) => {
    const { status, signal, stderr } = runChild(around(script))
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  })
})

// The loop ends by itself only where nothing is open on it: then Node tears its environment down in full.
test.each([
  'closed sockets',
  'windows, one revoked',
  'a finished scrub',
  'a scrub in flight',
  'work on the thread pool',
  'table maps, one closed',
])('%s: the process ends by itself', name => {
  const { status, signal, stderr } = runChild(setUp(objects[name]!))
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
})
