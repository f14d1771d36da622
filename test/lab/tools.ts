import { existsSync, readdirSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../guest/require-qemu'
import { packageRoot } from '../support/package-root'
import type { Archive } from './archive'
import { librariesOf } from './closure'
import { disk } from './disk'
import type { Entry } from './entry'
import { loaderAddons, tree } from './project'

export interface Tools {
  /** Everything but kernel and project: Node, kexec, QEMU and more programs, with their libraries; the lab's /usr. */
  disk: string
  /** What is on that disk, by its path in /usr. */
  entries: readonly Entry[]
  /** Statically linked: what the initrd starts with, and this machine can run too. */
  busybox: string
}

/** A folder with busybox and kexec-tools. */
async function baseTools(archive: Archive): Promise<string> {
  return archive.unpacked('tools', async () => [
    'busybox-static',
    ...(await archive.withLibraries('kexec-tools')),
  ])
}

export async function fetchBusybox(archive: Archive): Promise<string> {
  return path.join(await baseTools(archive), 'bin/busybox')
}

export async function fetchTools(archive: Archive, qemu: string): Promise<Tools> {
  const folder = await baseTools(archive)
  const busybox = await fetchBusybox(archive)
  const kexec = path.join(folder, 'sbin/kexec')
  const python = await archive.unpacked('python-3.11', async () => [
    ...(await archive.withLibraries('python3.11-minimal')),
    'libpython3.11-stdlib',
  ])
  const packaged = await archive.unpacked('programs-bookworm', () =>
    archive.withLibraries('memcached', 'lmdb-utils', 'xfsprogs'),
  )
  const unchanged = ['bin/memcached', 'bin/mdb_load', 'bin/mdb_dump', 'bin/mdb_stat', 'sbin/mkfs.xfs'].map(
    name => [`${packaged}/usr/${name}`, `${packaged}/${name}`].find(existsSync)!,
  )
  const apparmor = await apparmorPackages(archive)
  const interpreter = path.join(python, 'usr/bin/python3.11')
  const { modules, data } = qemuParts(qemu)
  const programs = ['setpriv', 'prlimit', 'chattr', 'mke2fs', 'e2fsck', 'debugfs'].map(
    name => findProgram(name)!,
  )
  const libraries = await librariesOf([process.execPath, qemu, ...modules, ...programs, ...loaderAddons()])
  const unpacked = path.join(folder, 'usr/lib/x86_64-linux-gnu')
  const kexecLibraries = await librariesOf([kexec], unpacked)
  const pythonLibraries = await librariesOf([interpreter], path.join(python, 'usr/lib/x86_64-linux-gnu'))
  const unchangedLibraries = await librariesOf(
    unchanged,
    ['usr/lib', 'lib'].map(part => `${packaged}/${part}/x86_64-linux-gnu`).join(':'),
  )
  const files = [
    ...libraries,
    ...unchangedLibraries,
    ...kexecLibraries,
    ...pythonLibraries,
    ...modules,
    ...data,
  ].map(file => {
    // What came with a package goes where the package would have put it.
    const origin = [folder, python, packaged].find(place => file.startsWith(place)) ?? ''
    return fromFile(file.slice(origin.length), realpathSync(file))
  })
  const entries: Entry[] = [
    { kind: 'file', path: 'bin/env', file: busybox, mode: 0o755 },
    { kind: 'folder', path: 'local' },
    fromFile('/sbin/apparmor_parser', path.join(apparmor, 'sbin/apparmor_parser'), 0o755),
    ...tree(path.join(apparmor, 'etc/apparmor.d'), 'share/apparmor.d'),
    fromFile('/sbin/kexec', kexec, 0o755),
    fromFile('/bin/python3', interpreter, 0o755),
    ...tree(path.join(python, 'usr/lib/python3.11'), 'lib/python3.11'),
    fromFile('/bin/node', process.execPath, 0o755),
    fromFile('/bin/qemu-system-x86_64', realpathSync(qemu), 0o755),
    ...[...programs, ...unchanged].map(file =>
      fromFile(`/bin/${path.basename(file)}`, realpathSync(file), 0o755),
    ),
    ...new Map(files.map(entry => [entry.path, entry])).values(),
  ]
  return { disk: await disk('tools', entries), entries, busybox }
}

/** AppArmor's parser, and the profiles of this release, libvirt's domains' too. */
export function apparmorPackages(archive: Archive): Promise<string> {
  return archive.unpacked('apparmor-bookworm', async () => [
    'apparmor',
    'libapparmor1',
    'libvirt-daemon-system',
  ])
}

/** A file by its place in a system where /bin, /lib and the like are links into /usr. */
export function fromFile(place: string, file: string, mode?: number): Entry {
  return { kind: 'file', path: place.replace(/^\/(usr\/)?/, ''), file, ...(mode !== undefined && { mode }) }
}

/** The initrd's part that is the same for every kernel. */
export function initrdEntries(busybox: string): Entry[] {
  return [
    { kind: 'file', path: 'init', file: path.join(packageRoot, 'test/lab/inside/init.sh'), mode: 0o755 },
    { kind: 'file', path: 'bin/busybox', file: busybox, mode: 0o755 },
    { kind: 'link', path: 'bin/sh', target: 'busybox' },
    { kind: 'link', path: 'lib64', target: 'usr/lib64' },
    { kind: 'link', path: 'lib/x86_64-linux-gnu', target: '/usr/lib/x86_64-linux-gnu' },
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    ...['proc', 'sys', 'tmp', 'run', 'root', 'host', 'lab', 'etc', 'usr', 'opt'].map(
      (name): Entry => ({ kind: 'folder', path: name }),
    ),
    ...userEntries,
  ]
}

/** Users and groups of all the lab's hosts. */
export const userEntries: readonly Entry[] = [
  {
    kind: 'text',
    path: 'etc/passwd',
    text: 'root:x:0:0::/root:/bin/sh\nvmm:x:1000:1000::/tmp:/bin/sh\nother:x:1001:1001::/tmp:/bin/sh\n',
  },
  { kind: 'text', path: 'etc/group', text: 'root:x:0:\nvmm:x:1000:\nother:x:1001:\n' },
]

/** QEMU's accelerators are libraries that it looks for beside itself. */
function qemuParts(qemu: string): { modules: string[]; data: string[] } {
  const folder = path.resolve(path.dirname(qemu), '../lib/x86_64-linux-gnu/qemu')
  const modules = existsSync(folder)
    ? readdirSync(folder)
        .filter(name => name.startsWith('accel-'))
        .map(name => path.join(folder, name))
    : []
  const data = [
    ...['/usr/share/qemu/kvmvapic.bin', '/usr/share/qemu/linuxboot_dma.bin'],
    '/usr/share/seabios/bios-256k.bin',
  ].filter(existsSync)
  return { modules, data }
}
