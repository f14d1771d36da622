import { existsSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { UsageError } from '../exit'
import { HostFiles } from './host-files'
import { buildOptions, type KernelBuild, modulesIn } from './kernel-build'

/** An image to load, and all that the host knows of it. */
export interface KernelImage {
  readonly image: string
  /** undefined: the operator wants none. */
  readonly initrd: string | undefined
  readonly build: KernelBuild
}

const noInitrd = 'none'
const releaseForm = /^\d[\w.+~-]*/

/**
 * kernel: a file, or the release of an installed kernel. initrd: a file, or 'none'; by default the one that belongs to the
 * kernel. Links are followed, so that /vmlinuz has the name of its release.
 * @throws UsageError: one of them is not there
 */
export function findKernel(kernel: string, initrd: string | undefined): KernelImage {
  const { image, label, release, inImage } = locate(kernel)
  return {
    image,
    initrd: initrd === noInitrd ? undefined : initrdOf(image, [label, release], initrd),
    build: buildOf(release, inImage),
  }
}

/** @throws UsageError: it is not there */
export function findBuild(kernel: string): KernelBuild {
  const { release, inImage } = locate(kernel)
  return buildOf(release, inImage)
}

/** label: what stands behind its name's first word, or the name of its folder. */
function locate(kernel: string) {
  const isFile = kernel.includes('/')
  const files = isFile ? [kernel] : [`/boot/vmlinuz-${kernel}`, `/lib/modules/${kernel}/vmlinuz`]
  const image = realFile(files)
  if (image === undefined) throw new UsageError(`--kernel: there is no ${files.join(', and no ')}`)
  const label = hasBareName(image) ? folderName(image) : /^[a-z]+-(.+)$/i.exec(path.basename(image))?.[1]
  const named = isFile ? label : kernel
  const inImage = releaseIn(image)
  return { image, label, inImage, release: inImage ?? releaseForm.exec(named ?? '')?.[0] }
}

/** As kernel-install and ostree keep one, in a folder with the name of its release. */
const hasBareName = (image: string) => /^(linux|vmlinuz)$/.test(path.basename(image))
const folderName = (image: string) => path.basename(path.dirname(image))

/** An image for x86 names its release: its header (HdrS) points at it. */
function releaseIn(image: string): string | undefined {
  const files = new HostFiles()
  const header = files.part(image, 0x200, 16)
  if (header?.length !== 16 || header.toString('latin1', 2, 6) !== 'HdrS') return undefined
  const words = files.part(image, 0x200 + header.readUInt16LE(14), 128)?.toString('latin1')
  return releaseForm.exec(words ?? '')?.[0]
}

function buildOf(release: string | undefined, inImage: string | undefined): KernelBuild {
  if (release === undefined) return { options: undefined, modules: undefined }
  const modules = `/lib/modules/${release}`
  return {
    release,
    releaseBy: inImage === undefined ? 'name' : 'image',
    options: buildOptions(new HostFiles(), release),
    modules: existsSync(modules) ? modulesIn(modules) : undefined,
  }
}

/** labels: what may stand behind its name beside the image; the last one is the release. */
function initrdOf(image: string, labels: readonly (string | undefined)[], given: string | undefined): string {
  const named = (folder: string, label: string | undefined) =>
    label === undefined
      ? []
      : ['initrd.img-', 'initramfs-', 'initrd-'].flatMap(prefix => [
          `${folder}/${prefix}${label}`,
          `${folder}/${prefix}${label}.img`,
        ])
  const folder = path.dirname(image)
  const isAlone = hasBareName(image) && folderName(image) === labels.at(-1)
  const bare = isAlone ? ['initrd', 'initrd.img', 'initramfs.img'].map(name => `${folder}/${name}`) : []
  const own = [...labels.flatMap(label => named(folder, label)), ...bare]
  const found = realFile(given === undefined ? [...own, ...named('/boot', labels.at(-1))] : [given])
  if (found !== undefined) return found
  throw new UsageError(
    given === undefined
      ? `there is no initrd for ${image}, without which most kernels find no root: name it by --initrd, or say --initrd ${noInitrd}`
      : `--initrd: there is no ${given}`,
  )
}

function realFile(files: readonly string[]): string | undefined {
  const found = files.find(file => existsSync(file))
  return found === undefined ? undefined : realpathSync(found)
}

/** With the command line that was checked, without what the boot loader of the running kernel put before it. */
export function loadedLine(commandLine: string): string {
  return commandLine.replace(/(^|\s)(BOOT_IMAGE|initrd)=\S*/g, '').trim()
}

export function loadCommand({ image, initrd }: KernelImage, line: string): string[] {
  const own = initrd === undefined ? [] : [`--initrd=${initrd}`]
  return ['kexec', '-s', '-l', image, ...own, `--command-line=${line}`]
}

/** For people, in lines with names. undefined: one that somebody has loaded already. */
export function describeKernel(kernel: KernelImage | undefined, line: string): Array<[string, string]> {
  return kernel
    ? [
        ['kernel', kernel.image],
        ['initrd', kernel.initrd ?? noInitrd],
        ['line', line],
      ]
    : [['kernel', 'the one that kexec has loaded already']]
}
