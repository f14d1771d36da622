/**
 * Proves that a vhost-user backend of the distribution (qemu-storage-daemon) serves a guest whose memory is the broker's, and that a
 * backend that hangs when the VMM has ended is named, keeps the memory from reuse, and is ended by policy.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { attemptNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'
import { TestBroker, until } from '../support/test-broker'
import { requireQemu } from './require-qemu'

const MiB = 2 ** 20
const ctl = path.join(packageRoot, 'dist/program/broker-ctl.js')
/** The broker kills no process of root that it gave nothing. */
const uid = 64055
const qemu = needsRoot('vhost-user') ? requireQemu() : undefined

if (qemu === undefined) test('no QEMU: vhost-user is left out', () => expect(process.env.CI).toBeFalsy())
else
  describe.each(['quarantine', 'kill'] as const)('with on_deadline = %s', policy => {
    let broker: TestBroker
    const children: ChildProcess[] = []
    const start = (file: string, args: readonly string[]) => {
      const child = spawn(file, args, { stdio: 'ignore', uid, gid: uid, env: { ...process.env, HOME: '/' } })
      children.push(child)
      return child
    }
    const ask = (...args: string[]) => {
      const { stdout, stderr } = attemptNow(process.execPath, [ctl, '--socket', broker.socket, ...args])
      return stdout + stderr
    }
    beforeAll(async () => {
      broker = await TestBroker.start({
        config: `[[range]]
name = "main"
source = "memfd"
bytes = "64MiB"
[revoke]
grace_ms = 300
on_deadline = "${policy}"
[[owner]]
uid = ${uid}
bytes_max = "64MiB"
open_by_path = true
`,
      })
      chmodSync(broker.folder, 0o755)
      mkdirSync(path.join(broker.folder, 'own'))
      chownSync(path.join(broker.folder, 'own'), uid, uid)
    })
    afterAll(async () => {
      for (const child of children) child.kill('SIGKILL')
      await broker.dispose()
    })

    test('a backend has the memory; it is named when it stays, and the memory is free only after it', async () => {
      const disk = path.join(broker.folder, 'own', 'disk')
      const socket = path.join(broker.folder, 'own', 'vhost')
      writeFileSync(disk, '')
      truncateSync(disk, MiB)
      chownSync(disk, uid, uid)
      const place = `addr.type=unix,addr.path=${socket},writable=on`
      const backend = start('qemu-storage-daemon', [
        ...['--blockdev', `driver=file,node-name=disk,filename=${disk}`],
        ...['--export', `type=vhost-user-blk,id=export,node-name=disk,${place}`],
      ])
      await until(() => existsSync(socket), 'the backend')
      // The firmware starts the device to look for something to boot, and only then the backend gets the memory.
      const vmm = start(process.execPath, [
        ...[ctl, '--socket', broker.socket, 'exec', '--map', 'vm/ram', '--allocate', '32M', '--', qemu],
        ...[
          '-accel',
          'tcg',
          '-m',
          '32M',
          '-machine',
          'q35,memory-backend=ram',
          '-nodefaults',
          '-display',
          'none',
        ],
        '-object',
        'memory-backend-file,id=ram,size={map.size},mem-path={map.path},share=on,align={map.align}',
        ...[
          '-chardev',
          `socket,id=disk,path=${socket}`,
          '-device',
          'vhost-user-blk-pci,chardev=disk,bootindex=0',
        ],
      ])
      const others = () => /also open by +(.*)/.exec(ask('show', 'vm/ram'))?.[1] ?? ''
      await until(() => others().includes(`${backend.pid}`), 'the backend to have the memory')

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
      expect(ask('allocate', 'next/ram', '64M')).toContain('NoSpace')
      backend.kill('SIGKILL')
      await until(() => ask('allocate', 'next/ram', '64M').includes('next/ram'), 'the memory to be free')
    })
  })
