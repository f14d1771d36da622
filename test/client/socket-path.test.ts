/** Proves that the library looks for the broker where the documentation says, and says where it looked. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { connect } from '../../src/client'
import { chooseSocket, defaultSocket } from '../../src/client/socket-path'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'
import { ctlMain, type Outcome, outcomeOf } from './support/ctl'

const own = '/run/user/1000/membroker/broker.sock'
const there = () => true
const absent = () => false

test('the environment first, then this user’s own broker, then the host’s', () => {
  // Proves the order of the three places, and that root never follows a user's variable.
  const choose = (environment: Record<string, string>, uid: number, exists: (path: string) => boolean) =>
    chooseSocket(environment, uid, exists).path
  expect(choose({ MEMBROKER_SOCKET: '/x', XDG_RUNTIME_DIR: '/run/user/1000' }, 1000, there)).toBe('/x')
  expect(choose({ MEMBROKER_SOCKET: '' }, 1000, absent)).toBe(defaultSocket)
  expect(choose({ XDG_RUNTIME_DIR: '/elsewhere' }, 1000, there)).toBe('/elsewhere/membroker/broker.sock')
  expect(choose({ XDG_RUNTIME_DIR: '/run/user/1000' }, 1000, absent)).toBe(defaultSocket)
  for (const directory of ['', 'relative'])
    expect(choose({ XDG_RUNTIME_DIR: directory }, 1000, there)).toBe(own)
  expect(choose({}, 1000, there)).toBe(own)
  expect(choose({ XDG_RUNTIME_DIR: '/run/user/1000' }, 0, there)).toBe(defaultSocket)
  expect(chooseSocket({}, 1000, absent).tried).toEqual([own, defaultSocket])
})

test('an unreachable broker is told with where it was looked for, and why there', async () => {
  // Proves that nobody has to guess which socket was meant.
  const before = process.env.MEMBROKER_SOCKET
  process.env.MEMBROKER_SOCKET = '/nonexistent/named.sock'
  try {
    await expect(connect()).rejects.toMatchObject({
      code: 'BrokerUnreachable',
      message: expect.stringMatching(
        /\/nonexistent\/named\.sock: .*; this socket is as MEMBROKER_SOCKET says$/,
      ),
      parameters: { errno: 'ENOENT', tried: ['/nonexistent/named.sock'] },
    })
  } finally {
    if (before === undefined) delete process.env.MEMBROKER_SOCKET
    else process.env.MEMBROKER_SOCKET = before
  }
  expect(chooseSocket({}, 1000, absent).why).toBe(`the default, as this user has no broker at ${own}`)
})

const asRoot = needsRoot('a broker and broker-ctl of another user') ? describe : describe.skip

asRoot('a user who is not root', () => {
  const uid = 64_321
  let directory: string
  let broker: ChildProcess | undefined

  beforeEach(() => {
    directory = mkdtempSync('/dev/shm/membroker-user-')
    chownSync(directory, uid, uid)
  })
  afterEach(async () => {
    if (broker?.exitCode === null) {
      broker.kill()
      await once(broker, 'exit')
    }
    rmSync(directory, { recursive: true, force: true })
  })

  /** Without MEMBROKER_SOCKET. */
  const start = (main: string, ...args: string[]) =>
    spawn(process.execPath, [main, ...args], {
      uid,
      gid: uid,
      cwd: '/',
      env: { PATH: process.env.PATH, XDG_RUNTIME_DIR: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const ctl = (...args: string[]): Promise<Outcome> => outcomeOf(start(ctlMain, ...args))

  test('finds the broker that the same user has started, without naming a socket', async () => {
    // Proves that the broker's default and the library's are the same place.
    const started = start(
      path.join(packageRoot, 'dist/program/membrokerd.js'),
      '--directory',
      path.join(directory, 'memory'),
      '--size',
      '64M',
    )
    broker = started
    let log = ''
    await new Promise<void>((resolve, reject) => {
      started.stderr.setEncoding('utf8').on('data', text => {
        log += text
        if (log.includes('"ready"')) resolve()
      })
      started.once('exit', () => reject(new Error(log)))
    })
    const { stdout, stderr } = await ctl('status', '--json')
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ pid: started.pid })
  })

  test('whose own broker has ended is told so, and not given another broker', async () => {
    // Proves that a socket nobody listens at is an error that names it, not a reason to look elsewhere.
    const socket = path.join(directory, 'membroker/broker.sock')
    mkdirSync(path.dirname(socket))
    writeFileSync(socket, '')
    chownSync(path.dirname(socket), uid, uid)
    chownSync(socket, uid, uid)
    const { code, stderr } = await ctl('status')
    expect(code).toBe(3)
    expect(stderr).toContain(`can't reach the broker at ${socket}: nobody listens at it`)
    expect(stderr).toContain("this socket is this user's own broker's")
  })
})
