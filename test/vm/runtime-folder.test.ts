/**
 * Proves that a VM has one runner, and that nothing which others left or answer in its runtime folder reaches another file, another
 * VM, or the terminal.
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Socket } from 'node:net'
import path from 'node:path'
import { withQemu } from '../guest/require-qemu'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { Scene } from './scene'

withQemu(() => {
  let scene: Scene

  beforeEach(async () => {
    scene = await Scene.open()
  })
  afterEach(() => scene.dispose())

  test('a second runner is refused, and told who runs the VM', async () => {
    scene.write('vm-1')
    const first = await scene.counting('vm-1')
    const second = await scene.run('vm-1').outcome
    expect(second).toMatchObject({
      code: 1,
      stderr: `broker-ctl: VmRuns: vm-1 is run by process ${first.pid} already\n`,
    })
    await first.countsOn()
    expect(await scene.vm('vm-1')).toMatchObject({ state: 'running', pid: first.pid })
  })

  test.each([
    [
      'answers what is no record',
      (socket: Socket) => socket.end('{"done":{"state":["\\u001b[2J"],"reason":7}}\n'),
    ],
    [
      'never comes to an end',
      (socket: Socket) => {
        const speaking = setInterval(() => socket.write('{"progress":"soon"}\n'), 100)
        socket.on('error', () => {}).on('close', () => clearInterval(speaking))
      },
    ],
  ])('a runner that %s keeps nobody from listing the VMs', async (_, hear) => {
    scene.write('vm-1')
    const folder = path.join(scene.runtime, 'vm-1')
    mkdirSync(folder, { recursive: true })
    runNow('mkfifo', [path.join(folder, 'status.json')])
    expect(await scene.state('vm-1')).toBe('stopped')
    const sockets = new Set<Socket>()
    const server = createServer(socket => {
      sockets.add(socket)
      hear(socket.resume())
    }).listen(path.join(folder, 'control.sock'))
    try {
      expect(await scene.vm('vm-1')).toMatchObject({ state: 'unknown', reason: 'its runner does not answer' })
      expect((await scene.ctl('vm', 'list')).code).toBe(0)
    } finally {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
  })

  test("what an earlier user left in the VM's folder is nothing to write through", async () => {
    if (!needsRoot('a folder of another user')) return
    scene.write('vm-1')
    const folder = path.join(scene.runtime, 'vm-1')
    const victim = path.join(scene.folder, 'victim')
    const elsewhere = path.join(scene.folder, 'elsewhere')
    writeFileSync(victim, 'its own\n')
    mkdirSync(elsewhere)
    writeFileSync(path.join(elsewhere, 'kept'), '')
    mkdirSync(path.join(folder, 'more'), { recursive: true })
    symlinkSync(victim, path.join(folder, 'status.json.part'))
    symlinkSync(elsewhere, path.join(folder, 'more/link'))
    chmodSync(folder, 0o777)
    for (const each of [folder, path.join(folder, 'more')]) chownSync(each, 65534, 65534)
    const server = createServer().listen(path.join(folder, 'control.sock'))
    try {
      // Another user may run the VM there.
      expect(await scene.run('vm-1').outcome).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('VmRuns: vm-1 is run by another user'),
      })
    } finally {
      server.close()
    }
    const run = await scene.counting('vm-1')
    expect(statSync(folder)).toMatchObject({ uid: 0, mode: 0o40700 })
    expect(readdirSync(folder).sort()).toEqual(['control.sock', 'status.json'])
    expect(readFileSync(victim, 'utf8')).toBe('its own\n')
    expect(readdirSync(elsewhere)).toEqual(['kept'])
    expect(await scene.vm('vm-1')).toMatchObject({ state: 'running', pid: run.pid })
  })

  test('an order for a VM does not reach the runner of another by a link', async () => {
    scene.write('vm-1')
    scene.write('vm-2')
    const run = await scene.counting('vm-1')
    const folder = path.join(scene.runtime, 'vm-2')
    mkdirSync(folder, { mode: 0o700 })
    symlinkSync('../vm-1/control.sock', path.join(folder, 'control.sock'))
    expect(await scene.stop('vm-2', '--quit')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('vm-2 does not run'),
    })
    expect(await scene.state('vm-2')).toBe('stopped')
    await run.countsOn()
  })

  test('words of a runner and of QEMU are shown on a terminal, and not obeyed', async () => {
    const bad = scene.program('bad', '#!/bin/sh\nprintf "last \\033[2Jwords\\n" >&2\nexit 3\n')
    scene.write('vm-1', { vm: `qemu = "${bad}"` })
    const { stderr } = await scene.run('vm-1').outcome
    expect(stderr).toContain('last \\u001b[2Jwords\n')
    expect(stderr).not.toContain('\u001b')
    const answer = { state: '\u001b[2J', from: '\u001b]0;x\u0007', to: 'y', downtimeMs: null, changes: [] }
    scene.write('vm-1')
    const control = path.join(scene.runtime, 'vm-1/control.sock')
    rmSync(control, { force: true })
    const server = createServer(socket =>
      socket.resume().end(`${JSON.stringify({ done: answer })}\n`),
    ).listen(control)
    try {
      expect((await scene.stop('vm-1')).stdout).toBe('vm-1 is \\u001b[2J\n')
      expect((await scene.ctl('vm', 'resume', 'vm-1')).stdout).toBe('vm-1 is \\u001b[2J\n')
      for (const options of [[], ['--dry-run']])
        expect((await scene.ctl('vm', 'upgrade', 'vm-1', ...options)).stdout).toContain('\\u001b]0;x\\u0007')
    } finally {
      server.close()
    }
  })

  test('a list shows every file, also one with a mistake', async () => {
    scene.write('vm-1')
    scene.write('vm-2', { more: 'what = "ever"\n' })
    writeFileSync(path.join(scene.directory, 'README'), 'no VM')
    expect(await scene.list()).toMatchObject([
      { name: 'vm-1', state: 'stopped', pid: null, allocations: [] },
      { name: 'vm-2', state: 'invalid', reason: expect.stringMatching(/vm-2\.toml:\d+: unknown key 'what'/) },
    ])
    const { stdout } = await scene.ctl('vm', 'list')
    expect(stdout).toMatch(/^vm-1 +stopped/m)
  })
})
