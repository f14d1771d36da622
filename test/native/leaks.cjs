// Uses every part of the addon, and ends by itself with all of it closed. Run by sanitize.mjs.
const fs = require('node:fs')
const addon = require(process.env.MEMBROKER_ADDON)
const quiet = { onData() {}, onEnd() {}, onDrain() {} }
const memory = { hugePageBytes: 0, allowSealing: true }

async function talk() {
  const [a, b] = addon.socketPair()
  const left = new addon.Socket(a, quiet)
  await new Promise(resolve => {
    const right = new addon.Socket(b, {
      ...quiet,
      onData(bytes, fds) {
        for (const fd of fds) fs.closeSync(fd)
        if (bytes.includes('end')) left.close()
      },
      onEnd: resolve,
    })
    right.pause()
    while (left.queuedBytes === 0) left.send(Buffer.alloc(65536), [])
    left.send(Buffer.from('with'), [fs.openSync('/dev/null')])
    left.send(Buffer.from('end'), [])
    fs.closeSync(right.peer().pidfd)
    right.resume()
  })
}

async function accept() {
  const address = `\0membroker-leaks-${process.pid}`
  await new Promise(resolve => {
    const listener = new addon.Listener(
      addon.listenUnix(address, 1),
      fd => {
        fs.closeSync(fd)
        listener.close()
        resolve()
      },
      () => {},
    )
    fs.closeSync(addon.connectUnix(address))
  })
  new addon.ExitWatch(addon.pidfdOpen(process.pid), () => {}).close()
}

async function remember() {
  const fd = addon.memfdCreate('leaks', memory)
  await addon.fallocate(fd, 0, 1 << 20)
  await addon.punchHole(fd, 0, 4096)
  const window = new addon.Window(fd, 0, 1 << 20, true)
  Buffer.from(window.buffer).fill(1)
  window.revoke()
  new addon.Window(fd, 4096, 4096, true)
  new addon.Window(fd, 1, 4096, true)
  const table = new addon.TableMap(fd, 0, 8192)
  table.write(0, Buffer.from('x'))
  table.publish(8, 1, 2)
  for (let stage = 0; stage < 2; stage++) {
    new Float64Array(table.stage(2, 16), 0, 8).set([2, 16, 0, 8, 8, 0, 0, 0])
    table.storeAll()
  }
  table.stage(1, 2 ** 31)
  await new addon.Scrub(fd, 0, 1 << 20, 2).errno
  const scrub = new addon.Scrub(fd, 0, 1 << 20, 2)
  scrub.cancel()
  await scrub.errno
  fs.ftruncateSync(fd, 0)
  if (table.read(0, 8) !== -14) throw new Error('a truncated table could be read')
  table.close()
  addon.isSoleOpener(fd)
  addon.exec('no-such-program', ['x'], ['A=b'], [{ from: fd, to: 30 }])
  addon.crc32c(Buffer.alloc(100), addon.crc32cPortable(Buffer.alloc(100), 0))
  fs.closeSync(fd)
}

;(async () => {
  for (let round = 0; round < 20; round++) {
    await talk()
    await accept()
    await remember()
  }
  console.log('everything was used')
})()
