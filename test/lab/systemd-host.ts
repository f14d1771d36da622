import { readdirSync, readlinkSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../guest/require-qemu'
import { librariesOf } from './closure'
import { disk } from './disk'
import type { Entry } from './entry'
import type { Progress } from './progress'
import { systemdPackages } from './systemd-packages'
import { fromFile, type Tools, userEntries } from './tools'

/** For what a host writes: its journal, its configuration, guests' output. */
const writableKiB = 128 * 1024

/** The lab's own part of the host: runs the scenario's steps, and switches the machine off after the last. */
const labService = `[Unit]
Description=The steps of the lab's scenario
RequiresMountsFor=/lab /opt
[Service]
ExecStart=/bin/sh -c 'node --enable-source-maps /opt/node_modules/membroker/dist/test/lab/inside/main.js; busybox poweroff -f'
Environment=HOME=/root
TimeoutStopSec=60s
[Install]
WantedBy=multi-user.target
`

/** Of the tools that are one program: what units and the project's programs call. */
const applets = [
  ...[
    'sh',
    'env',
    'cat',
    'cp',
    'echo',
    'id',
    'install',
    'kill',
    'ls',
    'mkdir',
    'mount',
    'umount',
    'mv',
    'rm',
  ],
  ...[
    'sleep',
    'sync',
    'test',
    'touch',
    'true',
    'uname',
    'dmesg',
    'grep',
    'head',
    'readlink',
    'chmod',
    'chown',
  ],
]

/**
 * A host's root: a disk with the distribution's systemd for process 1 and the lab's tools, which keeps what is written to
 * it over kexec. The project's programs are found as its package installs them, and nothing of it is configured.
 */
export async function systemdHost(
  tools: Tools,
  suite: string | undefined,
  progress: Progress,
): Promise<string> {
  const packages = await systemdPackages(progress, suite)
  const getent = realpathSync(findProgram('getent')!)
  const libraries = (await librariesOf([getent])).map(file => fromFile(file, realpathSync(file)))
  const text = (place: string, lines: string): Entry => ({ kind: 'text', path: place, text: lines })
  const link = (place: string, target: string): Entry => ({ kind: 'link', path: place, target })
  const entries: Entry[] = [
    ...['bin', 'sbin', 'lib', 'lib64'].map(name => link(name, `usr/${name}`)),
    ...[...tools.entries, fromFile('/bin/getent', getent), ...libraries].map(entry => ({
      ...entry,
      path: `usr/${entry.path}`,
    })),
    { kind: 'file', path: 'usr/bin/busybox', file: tools.busybox, mode: 0o755 },
    ...applets.map(name => link(`usr/bin/${name}`, 'busybox')),
    ...installed(packages),
    link('usr/sbin/init', '../lib/systemd/systemd'),
    ...['membrokerd', 'broker-ctl'].map(name => link(`usr/local/bin/${name}`, `/opt/bin/${name}`)),
    ...['proc', 'sys', 'dev', 'run', 'opt', 'lab', 'tmp', 'root', 'var/log/journal', 'var/lib'].map(
      (name): Entry => ({ kind: 'folder', path: name }),
    ),
    ...userEntries,
    text('etc/machine-id', `${'5a'.repeat(16)}\n`),
    text('etc/hostname', 'lab\n'),
    text('etc/nsswitch.conf', 'passwd: files\ngroup: files\n'),
    // As udev would do.
    text('etc/tmpfiles.d/kvm.conf', 'z /dev/kvm 0666\n'),
    text('etc/systemd/system/lab.service', labService),
    link('etc/systemd/system/multi-user.target.wants/lab.service', '../lab.service'),
    link('etc/systemd/system/default.target', '/lib/systemd/system/multi-user.target'),
    // There is no message bus, nobody logs in, and there is no ldconfig.
    ...['systemd-logind.service', 'getty.target', 'ldconfig.service'].map(name =>
      link(`etc/systemd/system/${name}`, '/dev/null'),
    ),
  ]
  return disk('host', [...new Map(entries.map(entry => [entry.path, entry])).values()], writableKiB)
}

function installed(folder: string): Entry[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' }).flatMap(
    (entry): Entry[] => {
      const file = path.join(entry.parentPath, entry.name)
      const place = path.relative(folder, file)
      if (/^usr\/share\/(doc|man|locale|bash-completion|zsh|lintian)\//.test(place)) return []
      if (entry.isSymbolicLink()) return [{ kind: 'link', path: place, target: readlinkSync(file) }]
      return entry.isFile() ? [{ kind: 'file', path: place, file }] : []
    },
  )
}
