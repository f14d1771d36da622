import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from '../support/child'
import { Archive } from './archive'
import { labFolder } from './cache'
import { type LoadableModule, type ModuleSource, moduleName, modulesInOrder } from './closure'
import type { Entry } from './entry'
import { initrd } from './initrd'
import { buildKernel } from './kernel-build'
import { type KernelChoice, kernelChoices, newestImage } from './kernels'
import type { Progress } from './progress'
import { initrdEntries } from './tools'

export interface Kernel {
  /** As --kernel takes it. */
  label: string
  /** As uname -r says it. */
  release: string
  /** The image to boot. */
  image: string
  /** Its first root filesystem, with its modules. */
  initrd: string
}

/**
 * The run's disks and shared folder, virtual machines, reserved memory (dax_hmem first: it makes the region's device, which
 * device_dax then binds), and what scenarios break things with.
 */
const wanted = [
  ...['virtio', 'virtio_ring', 'virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4', '9pnet_virtio', '9p'],
  ...['irqbypass', 'kvm', 'ccp', 'kvm_amd', 'virtio_net', 'tun', 'bridge'],
  ...['dax_hmem', 'device_dax'],
  ...['hwpoison_inject', 'vfio_pci', 'vfio_iommu_type1'],
]

/**
 * There for scenarios to load. Where kmem is, it takes soft-reserved memory for the system; the others are for filesystems on
 * persistent memory.
 */
const spare = ['kmem', 'nd_e820', 'nd_pmem', 'xfs']

/** A kernel, ready to boot in the lab. */
export async function fetchKernel(
  choice: KernelChoice,
  busybox: string,
  progress: Progress,
): Promise<Kernel> {
  const { label } = choice
  if (choice.source !== undefined) {
    const noModules: Entry = { kind: 'text', path: 'lib/modules/order', text: '' }
    const built = await buildKernel(progress)
    return {
      label,
      ...built,
      initrd: await initrd(`initrd-${label}`, [...initrdEntries(busybox), noModules]),
    }
  }
  const { release, image, modules } = await unpackKernel(choice, progress)
  return {
    ...{ label, release, image },
    initrd: await initrd(`initrd-${label}`, [
      ...initrdEntries(busybox),
      ...(await moduleEntries(modules, wanted, { spare, busybox })),
    ]),
  }
}

/** A kernel from the distribution's packages, unpacked but not installed. */
export async function unpackKernel(
  choice: KernelChoice,
  progress: Progress,
): Promise<{ release: string; image: string; modules: string }> {
  const archive = new Archive(choice.suite, choice.security, progress)
  const folder = await unpackedKernel(choice, archive)
  const modules = modulesFolder(folder)
  const release = path.basename(modules)
  // Newer kernels keep the image beside their modules.
  const places = [path.join(folder, 'boot', `vmlinuz-${release}`), path.join(modules, 'vmlinuz')]
  const image = places.find(existsSync)
  if (image === undefined) throw new Error(`the packages of kernel ${choice.label} have no image`)
  return { release, image, modules }
}

async function unpackedKernel(choice: KernelChoice, archive: Archive): Promise<string> {
  const packages = labFolder('packages')
  const cached = readdirSync(packages).find(
    name => name.startsWith(`kernel-${choice.label}-`) && !name.includes('.part'),
  )
  if (cached !== undefined) return path.join(packages, cached)
  const names = await archive.names('linux-image-')
  const image = newestImage(choice.label, names)
  if (image === undefined) {
    const others = kernelChoices.filter(other => other.label !== choice.label).map(other => other.label)
    throw new Error(
      `${choice.suite} has no kernel ${choice.label} any more; the lab's other kernels are ${others.join(', ')}`,
    )
  }
  // Newer kernels come in parts: the image package only depends on them.
  const parts = (await archive.dependencies(image)).filter(name => /^linux-(binary|modules)-/.test(name))
  return archive.unpacked(`kernel-${choice.label}-${image.slice('linux-image-'.length)}`, async () => [
    image,
    ...parts,
  ])
}

/** The only folder there is of modules of a kernel; it has the kernel's release for its name. */
function modulesFolder(folder: string): string {
  const place = ['lib/modules', 'usr/lib/modules'].map(name => path.join(folder, name)).find(existsSync)
  const [release] = place === undefined ? [] : readdirSync(place)
  if (place === undefined || release === undefined) throw new Error(`${folder} has no modules`)
  return path.join(place, release)
}

/**
 * Modules of a folder, and those that they need; /lib/modules/order lists all but the spare ones in the order in which init
 * loads them; /lib/modules/spare the others, in theirs. busybox unpacks compressed ones.
 */
export async function moduleEntries(
  folder: string,
  wanted: readonly string[],
  { spare = [], busybox }: { spare?: readonly string[]; busybox?: string } = {},
): Promise<Entry[]> {
  const source = moduleSource(folder, busybox)
  const loaded = await modulesInOrder(wanted, source)
  const modules = await modulesInOrder([...wanted, ...spare], source)
  const entries = modules.map(
    ({ name, bytes }): Entry => ({ kind: 'text', path: `lib/modules/${name}.ko`, text: bytes }),
  )
  const spares = modules.slice(loaded.length)
  const list = (of: readonly LoadableModule[]) => `${of.map(({ name }) => name).join('\n')}\n`
  return [
    ...entries,
    { kind: 'text', path: 'lib/modules/order', text: list(loaded) },
    { kind: 'text', path: 'lib/modules/spare', text: list(spares) },
  ]
}

function moduleSource(folder: string, busybox: string | undefined): ModuleSource {
  const files = new Map<string, string>()
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (/\.ko(\.xz)?$/.test(file)) files.set(moduleName(file), path.join(folder, file))
  return {
    find: name => files.get(name),
    read: file => (file.endsWith('.xz') && busybox !== undefined ? unxz(file, busybox) : readFile(file)),
  }
}

async function unxz(file: string, busybox: string): Promise<Buffer> {
  return Buffer.from(await run(busybox, ['xz', '-dc', file], { encoding: 'latin1' }), 'latin1')
}
