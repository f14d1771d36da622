import { existsSync, readdirSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'
import type { Archive } from './archive'
import { librariesOf } from './closure'
import { type LayerEntry, layer } from './layer'

export interface Tools {
  /** The layer's archive. */
  layer: string
  /** busybox, which runs on this machine too. */
  busybox: string
}

/** The layer of everything but kernel and project: busybox, Node, kexec, QEMU, and what starts them. */
export async function toolsLayer(archive: Archive, qemu: string): Promise<Tools> {
  const folder = await archive.unpacked('tools', async () => [
    'busybox-static',
    ...(await archive.withLibraries('kexec-tools')),
  ])
  const busybox = path.join(folder, 'bin/busybox')
  const kexec = path.join(folder, 'sbin/kexec')
  const { modules, data } = qemuParts(qemu)
  const libraries = await librariesOf([process.execPath, qemu, ...modules])
  const unpacked = path.join(folder, 'usr/lib/x86_64-linux-gnu')
  const kexecLibraries = await librariesOf([kexec], unpacked)
  const init = path.join(packageRoot, 'test/lab/inside/init.sh')
  const entries: LayerEntry[] = [
    { kind: 'file', path: 'init', file: init, mode: 0o755 },
    { kind: 'file', path: 'bin/busybox', file: busybox, mode: 0o755 },
    { kind: 'link', path: 'bin/sh', target: 'busybox' },
    { kind: 'link', path: 'usr/bin/env', target: '/bin/busybox' },
    { kind: 'file', path: 'sbin/kexec', file: kexec, mode: 0o755 },
    { kind: 'file', path: 'usr/bin/node', file: process.execPath, mode: 0o755 },
    { kind: 'file', path: 'usr/bin/qemu-system-x86_64', file: realpathSync(qemu), mode: 0o755 },
    ...[...new Set([...libraries, ...kexecLibraries, ...modules, ...data])].map((file): LayerEntry => {
      // What came with a package goes where the package would have put it.
      const place = file.startsWith(folder) ? file.slice(folder.length) : file
      return { kind: 'file', path: place.slice(1), file: realpathSync(file) }
    }),
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    ...['proc', 'sys', 'tmp', 'run', 'root', 'lab', 'etc'].map(
      (name): LayerEntry => ({ kind: 'folder', path: name }),
    ),
    {
      kind: 'text',
      path: 'etc/passwd',
      text: 'root:x:0:0::/root:/bin/sh\nvmm:x:1000:1000::/tmp:/bin/sh\nother:x:1001:1001::/tmp:/bin/sh\n',
    },
    { kind: 'text', path: 'etc/group', text: 'root:x:0:\nvmm:x:1000:\nother:x:1001:\n' },
  ]
  return { layer: await layer('tools', entries), busybox }
}

/** QEMU's accelerators are libraries that it looks for beside itself. */
function qemuParts(qemu: string): { modules: string[]; data: string[] } {
  const folder = path.resolve(path.dirname(qemu), '../lib/x86_64-linux-gnu/qemu')
  const modules = existsSync(folder)
    ? readdirSync(folder)
        .filter(name => name.startsWith('accel-'))
        .map(name => path.join(folder, name))
    : []
  const data = ['/usr/share/qemu/kvmvapic.bin', '/usr/share/seabios/bios-256k.bin'].filter(existsSync)
  return { modules, data }
}
