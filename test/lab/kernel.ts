import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { Archive } from './archive'
import { labFolder } from './cache'
import { type ModuleSource, moduleName, modulesInOrder } from './closure'
import { type KernelChoice, kernelChoices, newestImage } from './kernels'
import { type LayerEntry, layer } from './layer'
import type { Progress } from './progress'

export interface Kernel {
  /** As --kernel takes it. */
  label: string
  /** As uname -r says it. */
  release: string
  /** The image to boot. */
  image: string
  /** The archive with its modules. */
  layer: string
}

/** The shared folder of a run, and virtual machines. */
const needed = [
  ...['virtio', 'virtio_ring', 'virtio_pci', '9pnet_virtio', '9p'],
  ...['irqbypass', 'kvm', 'ccp', 'kvm_amd'],
]
/**
 * dax_hmem before device_dax: it makes the region's first device, which device_dax then binds. A kernel may have the rest
 * built in or not at all.
 */
const wanted = ['dax_hmem', 'device_dax', 'hwpoison_inject', 'vfio_pci', 'vfio_iommu_type1']

/** Of the largest module, not compressed; kvm has about a tenth. */
const moduleBytesMax = 64 * 2 ** 20

/** A kernel from the distribution's packages, unpacked but not installed. */
export async function fetchKernel(
  choice: KernelChoice,
  busybox: string,
  progress: Progress,
): Promise<Kernel> {
  const archive = new Archive(choice.suite, choice.security, progress)
  const folder = await unpackedKernel(choice, archive)
  const [name] = readdirSync(path.join(folder, 'boot')).filter(file => file.startsWith('vmlinuz-'))
  if (name === undefined) throw new Error(`the package of kernel ${choice.label} has no image`)
  const release = name.slice('vmlinuz-'.length)
  return {
    label: choice.label,
    release,
    image: path.join(folder, 'boot', name),
    layer: await modulesLayer(choice.label, modulesFolder(folder, release), busybox),
  }
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

function modulesFolder(folder: string, release: string): string {
  const place = ['lib/modules', 'usr/lib/modules']
    .map(name => path.join(folder, name, release))
    .find(existsSync)
  if (place === undefined) throw new Error(`the packages of ${release} have no modules`)
  return place
}

/** /lib/modules/order lists the files in the order in which init loads them. */
async function modulesLayer(label: string, folder: string, busybox: string): Promise<string> {
  const source = moduleSource(folder, busybox)
  const there = wanted.filter(name => source.find(name) !== undefined)
  const modules = await modulesInOrder([...needed, ...there], source)
  const entries = modules.map(
    ({ name, bytes }): LayerEntry => ({ kind: 'text', path: `lib/modules/${name}.ko`, text: bytes }),
  )
  const order = `${modules.map(({ name }) => name).join('\n')}\n`
  return layer(`modules-${label}`, [...entries, { kind: 'text', path: 'lib/modules/order', text: order }])
}

function moduleSource(folder: string, busybox: string): ModuleSource {
  const files = new Map<string, string>()
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (/\.ko(\.xz)?$/.test(file)) files.set(moduleName(file), path.join(folder, file))
  const builtIn = new Set(
    readFileSync(path.join(folder, 'modules.builtin'), 'utf8').trim().split('\n').map(moduleName),
  )
  return {
    find: name => files.get(name),
    isBuiltIn: name => builtIn.has(name),
    read: file => (file.endsWith('.xz') ? unxz(file, busybox) : readFile(file)),
  }
}

async function unxz(file: string, busybox: string): Promise<Buffer> {
  const run = promisify(execFile)
  const { stdout } = await run(busybox, ['xz', '-dc', file], {
    encoding: 'buffer',
    maxBuffer: moduleBytesMax,
  })
  return stdout
}
