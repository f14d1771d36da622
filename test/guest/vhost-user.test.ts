/**
 * Proves that vhost-user backends of the distribution (qemu-storage-daemon, virtiofsd) serve a guest whose memory is the broker's, and
 * that a backend that hangs when the VMM has ended is named, keeps the memory from reuse, and is ended by policy.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { attemptNow } from '../support/child'
import { isListening } from '../support/is-listening'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'
import { packagedProgram } from '../support/packaged-program'
import { TestBroker, until } from '../support/test-broker'
import { requireQemu } from './require-qemu'
import { sharingGuest } from './sharing-guest'

const MiB = 2 ** 20
const ctl = path.join(packageRoot, 'dist/program/broker-ctl.js')
/** The broker kills no process of root that it gave nothing. */
const uid = 64055
const qemu = needsRoot('vhost-user') ? requireQemu() : undefined

interface Backend {
  /** Starts it with a socket in the folder, which is its user's own. */
  start(folder: string, socket: string): Promise<ChildProcess | undefined>
  /** QEMU's, for the device of the character device "backend". */
  device(): Promise<string[]>
  /** Whether the guest has used it. */
  isUsed(folder: string): boolean
}

const children: ChildProcess[] = []
function start(file: string, args: readonly string[]): ChildProcess {
  const child = spawn(file, args, { stdio: 'ignore', uid, gid: uid, env: { ...process.env, HOME: '/' } })
  children.push(child)
  return child
}

const backends: Record<string, Backend> = {
  'qemu-storage-daemon': {
    async start(folder, socket) {
      const disk = path.join(folder, 'disk')
      writeFileSync(disk, '')
      truncateSync(disk, MiB)
      chownSync(disk, uid, uid)
      return start('qemu-storage-daemon', [
        ...['--blockdev', `driver=file,node-name=disk,filename=${disk}`],
        '--export',
        `type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=${socket},writable=on`,
      ])
    },
    // The firmware starts the device to look for something to boot, and only then the backend gets the memory.
    device: async () => ['-device', 'vhost-user-blk-pci,chardev=backend,bootindex=0'],
    isUsed: () => true,
  },
  virtiofsd: {
    async start(folder, socket) {
      const program = await packagedProgram('virtiofsd', path.join(folder, '../bin'))
      if (program === undefined) return undefined
      const share = path.join(folder, 'share')
      mkdirSync(share)
      writeFileSync(path.join(share, 'question'), 'from the host')
      for (const file of [share, path.join(share, 'question')]) chownSync(file, uid, uid)
      // It has to be root, with a lock in /run: of namespaces of its user's own.
      return start('unshare', [
        ...['--user', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs none /run && exec "$@"', '-'],
        ...[program, '-f', `--socket-path=${socket}`, '-o', `source=${share},sandbox=chroot`],
      ])
    },
    device: async () => ['-device', 'vhost-user-fs-pci,chardev=backend,tag=share', ...(await sharingGuest())],
    isUsed(folder) {
      const answer = path.join(folder, 'share/answer')
      return existsSync(answer) && readFileSync(answer, 'utf8') === 'from the host'
    },
  },
}

if (qemu === undefined) test('no QEMU: vhost-user is left out', () => expect(process.env.CI).toBeFalsy())
else
  describe.each([
    ['qemu-storage-daemon', 'quarantine'],
    ['qemu-storage-daemon', 'kill'],
    ['virtiofsd', 'kill'],
  ] as const)('%s with on_deadline = %s', (name, policy) => {
    const { start: startBackend, device, isUsed } = backends[name]!
    let broker: TestBroker
    let own: string
    const ask = (...args: string[]) => {
      const { stdout, stderr } = attemptNow(process.execPath, [ctl, '--socket', broker.socket, ...args])
      return stdout + stderr
    }
    beforeAll(async () => {
      broker = await TestBroker.start({
        config: `[[range]]
name = "main"
source = "memfd"
bytes = "256MiB"
[revoke]
grace_ms = 300
on_deadline = "${policy}"
[[owner]]
uid = ${uid}
bytes_max = "256MiB"
open_by_path = true
`,
      })
      chmodSync(broker.folder, 0o755)
      own = path.join(broker.folder, 'own')
      mkdirSync(own)
      chownSync(own, uid, uid)
    })
    afterAll(async () => {
      for (const child of children.splice(0)) child.kill('SIGKILL')
      await broker.dispose()
    })

    test('a backend has the memory; it is named when it stays, and the memory is free only after it', async () => {
      const socket = path.join(own, 'vhost')
      const backend = await startBackend(own, socket)
      if (backend === undefined) return
      await until(() => isListening(socket), 'the backend')
      const vmm = start(process.execPath, [
        ...[ctl, '--socket', broker.socket, 'exec', '--map', 'vm/ram', '--allocate', '128M', '--', qemu],
        ...['-accel', 'tcg', '-m', '128M', '-machine', 'q35,memory-backend=ram'],
        ...['-nodefaults', '-display', 'none', '-object'],
        'memory-backend-file,id=ram,size={map.size},mem-path={map.path},share=on,align={map.align}',
        ...['-chardev', `socket,id=backend,path=${socket}`, ...(await device())],
      ])
      const others = () => /also open by +(.*)/.exec(ask('show', 'vm/ram'))?.[1] ?? ''
      await until(() => others().includes(`${backend.pid}`), 'the backend to have the memory')
      await until(() => isUsed(own), 'the guest to use it')

      backend.kill('SIGSTOP')
      vmm.kill('SIGKILL')
      await until(() => vmm.signalCode !== null, 'the end of the VMM')
      expect(others()).toContain(`process ${backend.pid}`)
      const released = ask('release', 'vm/ram')
      if (policy === 'kill') {
        expect(released).toMatch(/vm\/ram: released/)
        await until(() => backend.signalCode === 'SIGKILL', 'the end of the backend')
        return
      }
      expect(released).toContain(`vm/ram: quarantined: held by process ${backend.pid}`)
      expect(ask('allocate', 'next/ram', '256M')).toContain('NoSpace')
      backend.kill('SIGKILL')
      await until(() => ask('allocate', 'next/ram', '256M').includes('next/ram'), 'the memory to be free')
    })
  })
