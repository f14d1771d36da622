/** Proves that the kernel's account of a mount sees everything that is open by way of it, and what takes it away. */
import { closeSync, existsSync, mkdtempSync, openSync, rmdirSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { native, Window } from '../../native'
import { needsRoot } from '../support/needs-root'

const pageBytes = 4096
const suite = needsRoot('mounts') ? describe : describe.skip

suite('a mount of its own', () => {
  let place: string
  beforeEach(() => {
    place = mkdtempSync(path.join(tmpdir(), 'membroker-mount-'))
    native.mountPrivate(place)
  })
  afterEach(() => {
    native.unmount(place, { detach: true })
    rmdirSync(place)
  })
  const open = (): number => {
    const fd = openSync(path.join(place, 'file'), 'w+')
    writeSync(fd, Buffer.alloc(2 * pageBytes, 7))
    return fd
  }

  test('is idle however often that is asked, and stays there', () => {
    for (let round = 0; round < 4; round++) expect(native.isMountIdle(place)).toBe(true)
    expect(existsSync(place)).toBe(true)
    expect(statSync(place).mode & 0o777).toBe(0o700)
    expect(statSync(place).dev).not.toBe(statSync(path.dirname(place)).dev)
  })

  test('is in use by a descriptor, a mapping without one, and a descriptor in flight', () => {
    const fd = open()
    expect(native.isMountIdle(place)).toBe(false)
    const window = new Window(fd, 0, pageBytes, true)
    expect(window.errno).toBe(0)
    closeSync(fd)
    expect(native.isMountIdle(place)).toBe(false)
    expect(() => native.unmount(place, { detach: false })).toThrow(expect.objectContaining({ code: 'EBUSY' }))
    window.revoke()
    expect(native.isMountIdle(place)).toBe(true)

    const [left, right] = native.socketPair()
    const socket = new native.Socket(left, { onData: () => {}, onEnd: () => {}, onDrain: () => {} })
    expect(socket.send(Buffer.from('x'), [open()])).toBe(0)
    expect(native.isMountIdle(place)).toBe(false)
    socket.close()
    closeSync(right)
    expect(native.isMountIdle(place)).toBe(true)
  })

  test('over a single file counts what is opened by that path only', () => {
    closeSync(open())
    const [file, over] = [path.join(place, 'file'), path.join(place, 'over')]
    closeSync(openSync(over, 'w'))
    native.bindPrivate(file, over)
    const direct = openSync(file, 'r')
    expect(native.isMountIdle(over)).toBe(true)
    const by = openSync(over, 'r')
    expect(native.isMountIdle(over)).toBe(false)
    closeSync(by)
    expect(native.isMountIdle(over)).toBe(true)
    closeSync(direct)
    native.unmount(over, { detach: false })
  })

  test('does not see a page in a pipe: that is no open file', () => {
    const fd = open()
    const pipe = native.spliceToPipe(fd, 0, 2 * pageBytes)
    closeSync(fd)
    expect(native.isMountIdle(place)).toBe(true)
    closeSync(pipe)
  })

  test('with a node in it is made whole, or not at all', () => {
    const made = path.join(place, 'made')
    native.mountNode(made, 'device', 0x103, 65534)
    const stat = statSync(path.join(made, 'device'))
    expect([stat.rdev, stat.uid, stat.gid, stat.mode & 0o777]).toEqual([0x103, 65534, 0, 0o600])
    expect(stat.dev).not.toBe(statSync(place).dev)
    expect(() => native.mountNode(made, 'device', 0x103, 0)).toThrow(
      expect.objectContaining({ code: 'EEXIST' }),
    )
    expect(native.isMountIdle(made)).toBe(true)
    native.unmount(made, { detach: false })
    rmdirSync(made)
    expect(() => native.mountNode(made, 'no/such', 0x103, 0)).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    )
    expect(existsSync(made)).toBe(false)
  })

  test('makes a node that is that device and only for root', () => {
    const node = path.join(place, 'null')
    native.makeNode(node, 0x103)
    const stat = statSync(node)
    expect([stat.rdev, stat.mode & 0o777, stat.isCharacterDevice()]).toEqual([0x103, 0o600, true])
    closeSync(openSync(node, 'r+'))
  })
})

test('what is no mount is an error', () => {
  const place = mkdtempSync(path.join(tmpdir(), 'membroker-mount-'))
  expect(() => native.isMountIdle(place)).toThrow(expect.objectContaining({ syscall: 'umount2' }))
  rmdirSync(place)
})
