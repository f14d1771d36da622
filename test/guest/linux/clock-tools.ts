import { existsSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { Archive } from '../../lab/archive'
import { librariesOf } from '../../lab/closure'
import type { Entry } from '../../lab/entry'
import { defaultKernel, kernelChoice } from '../../lab/kernels'
import type { Progress } from '../../lab/progress'
import { fetchBusybox, fromFile } from '../../lab/tools'

/** The distribution's programs that set a clock. */
export interface ClockTools {
  /** For the guest's first root filesystem. Its process 1 runs /etc/start. */
  readonly entries: readonly Entry[]
  /** A command that runs chronyd here; its arguments follow. */
  readonly chronyd: readonly [string, ...string[]]
}

/** The agent's port has a number of the kernel's, and comes when its driver has found it. */
const start = `#!/bin/sh
while :; do
  for port in /dev/vport*p1; do test -c "$port" && exec qemu-ga -m virtio-serial -p "$port" -t /tmp; done
  busybox sleep 0.1
done
`

export async function clockTools(progress: Progress): Promise<ClockTools> {
  const { suite } = kernelChoice(defaultKernel)
  const archive = new Archive(suite, false, progress)
  const folder = await archive.unpacked(`clocks-${suite}`, () =>
    archive.withLibraries('chrony', 'qemu-guest-agent'),
  )
  const [chronyd, agent] = ['chronyd', 'qemu-ga'].map(
    name => ['usr/sbin', 'usr/bin'].map(place => path.join(folder, place, name)).find(existsSync)!,
  ) as [string, string]
  const own = ['usr/lib', 'lib'].map(place => path.join(folder, place, 'x86_64-linux-gnu')).join(':')
  const libraries = await librariesOf([chronyd, agent], own)
  const busybox = await fetchBusybox(archive)
  const link = (place: string): Entry => ({ kind: 'link', path: place, target: '/bin/busybox' })
  const entries: Entry[] = [
    { kind: 'file', path: 'bin/busybox', file: busybox, mode: 0o755 },
    ...['bin/sh', 'sbin/hwclock'].map(link),
    { kind: 'text', path: 'etc/start', text: start, mode: 0o755 },
    { kind: 'text', path: 'etc/passwd', text: 'root:x:0:0::/:/bin/sh\n' },
    { kind: 'file', path: 'sbin/chronyd', file: chronyd, mode: 0o755 },
    { kind: 'file', path: 'sbin/qemu-ga', file: agent, mode: 0o755 },
    { kind: 'folder', path: 'tmp' },
    ...libraries.map(file => ({
      ...fromFile(file.startsWith(folder) ? file.slice(folder.length) : file, realpathSync(file)),
      mode: 0o755,
    })),
  ]
  return { entries, chronyd: ['env', `LD_LIBRARY_PATH=${own}`, chronyd] }
}
