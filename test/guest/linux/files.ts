import type { Entry } from '../../lab/entry'
import { initrd } from '../../lab/initrd'
import { moduleEntries, unpackKernel } from '../../lab/kernel'
import { defaultKernel, kernelChoice } from '../../lab/kernels'
import { Progress } from '../../lab/progress'
import { buildProgram } from '../build'
import { type ClockTools, clockTools } from './clock-tools'

/** The guest's devices: its disk, its network, its balloon, its agent's port, its power button. */
const wanted = [
  'virtio_pci',
  'virtio_blk',
  'virtio_net',
  'virtio_balloon',
  'virtio_console',
  'crc32c_generic',
  'ext4',
  'evdev',
  'button',
]

/** What a guest boots from: the distribution's kernel, and a first root filesystem with one program and its modules. */
export interface GuestFiles {
  readonly image: string
  readonly initrd: string
}

/** @throws Error where the distribution's packages or a C compiler can't be had */
export async function guestFiles(progress: Progress, more: readonly Entry[] = []): Promise<GuestFiles> {
  const program = buildProgram('test/guest/linux/guest.c', ['-static'])
  if (program === undefined) throw new Error('the Linux guest needs a C compiler')
  const { image, modules } = await unpackKernel(kernelChoice(defaultKernel), progress)
  return {
    image,
    initrd: await initrd('initrd-guest', [
      { kind: 'file', path: 'init', file: program, mode: 0o755 },
      { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
      ...more,
      ...(await moduleEntries(modules, wanted)),
    ]),
  }
}

/**
 * With programs that set the guest's clock. Where the packages can't be had: throws in CI; elsewhere says so and returns
 * undefined.
 */
export async function guestFilesHere(): Promise<(GuestFiles & ClockTools) | undefined> {
  try {
    const progress = new Progress()
    const clocks = await clockTools(progress)
    return { ...(await guestFiles(progress, clocks.entries)), ...clocks }
  } catch (error) {
    if (process.env.CI) throw error
    process.stderr.write(`\nLEFT OUT: the Linux guest. ${(error as Error).message}\n\n`)
    return undefined
  }
}
