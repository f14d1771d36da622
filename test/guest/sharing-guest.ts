import { Archive } from '../lab/archive'
import { initrd } from '../lab/initrd'
import { moduleEntries, unpackKernel } from '../lab/kernel'
import { defaultKernel, kernelChoice } from '../lab/kernels'
import { Progress } from '../lab/progress'
import { fetchBusybox } from '../lab/tools'
import { emulatedKernel } from './emulated-kernel'

/** Copies the shared folder's file, and keeps the folder mounted. */
const init = `#!/bin/busybox sh
b=/bin/busybox
for module in $($b cat /lib/modules/order); do $b insmod /lib/modules/$module.ko; done
$b mount -t virtiofs share /share && $b cp /share/question /share/part && $b mv /share/part /share/answer
while :; do $b sleep 1000; done
`

/** A Linux guest of the distribution's kernel that mounts the virtio-fs share named "share": QEMU's arguments for it. */
export async function sharingGuest(): Promise<string[]> {
  const progress = new Progress()
  const busybox = await fetchBusybox(new Archive('bookworm', false, progress))
  const { image, modules } = await unpackKernel(kernelChoice(defaultKernel), progress)
  const files = await initrd('initrd-sharing', [
    { kind: 'text', path: 'init', text: init, mode: 0o755 },
    { kind: 'file', path: 'bin/busybox', file: busybox, mode: 0o755 },
    { kind: 'folder', path: 'share' },
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    ...(await moduleEntries(modules, ['virtio_pci', 'virtiofs'])),
  ])
  return ['-kernel', image, '-initrd', files, '-append', ['quiet', 'panic=-1', ...emulatedKernel].join(' ')]
}
