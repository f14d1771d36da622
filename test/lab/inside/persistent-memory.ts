import { existsSync, readdirSync } from 'node:fs'
import type { Host } from './host'

const MiB = 2 ** 20

/** Persistent memory that the kernel's parameters make of RAM. Each piece has another size, by which it is found. */
const persistent = {
  ext4: { base: 0x7000_0000, bytes: 192 * MiB },
  xfs: { base: 0x8000_0000, bytes: 320 * MiB },
  inode: { base: 0x9800_0000, bytes: 32 * MiB },
} as const

export const persistentParameters = Object.values(persistent).map(
  ({ base, bytes }) => `memmap=${bytes / MiB}M!0x${base.toString(16)}`,
)

/** Loads the drivers, and returns the device of each piece. */
export async function persistentDevices(host: Host): Promise<Record<keyof typeof persistent, string>> {
  const spare = host.read('/lib/modules/spare').split('\n')
  for (const name of spare.filter(name => name !== 'kmem' && !existsSync(`/sys/module/${name}`)))
    await host.exec('insmod', [`/lib/modules/${name}.ko`])
  const devices = readdirSync('/sys/block').filter(name => name.startsWith('pmem'))
  const find = ({ bytes }: { bytes: number }) => {
    const found = devices.find(name => Number(host.read(`/sys/block/${name}/size`)) * 512 === bytes)
    host.check(found !== undefined, `there is a device of ${bytes} bytes among ${devices}`)
    return `/dev/${found}`
  }
  const { ext4, xfs, inode } = persistent
  return { ext4: find(ext4), xfs: find(xfs), inode: find(inode) }
}
