import { linkSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { guestFiles } from '../guest/linux/files'
import { findProgram, installPackage, requireQemu } from '../guest/require-qemu'
import { Archive } from './archive'
import { labFolder } from './cache'
import { fetchKernel, type Kernel } from './kernel'
import { kernelChoice } from './kernels'
import type { Progress } from './progress'
import { projectDisk } from './project'
import { guestLabel } from './share'
import { systemdHost } from './systemd-host'
import { namedSuite } from './systemd-packages'
import { fetchTools, type Tools } from './tools'

/** Old ones that are kept in the cache of each kind, however long nobody asked for them. */
const keptMax = 2
/** What was asked for since then is kept, however many: another run may be about to boot from it. */
const unusedMsMin = 6 * 3600 * 1000

const programs = ['apt-get', 'apt-cache', 'dpkg', 'flock', 'ldd', 'mke2fs', 'setpriv', 'tar']

/** Thrown where this machine can't have a lab at all, however right the project is. */
export class LabUnavailable extends Error {
  override name = 'LabUnavailable'
}

/** A run's folder, and what its machine is started with. */
export interface RunFiles {
  folder: string
  image: string
  initrd: string
  /** In the order in which init.sh expects them: the tools, the project. */
  disks: readonly string[]
  /** The root of a host of its own, for root=/dev/vdc. What a machine writes there is gone when it ends. */
  root: string | undefined
}

interface RunFilesOptions {
  /** The first of them is booted. */
  kernels: readonly [string, ...string[]]
  /** As a scenario says. */
  systemd?: boolean | string | undefined
}

/** Kernels and what runs on them, ready to boot. */
export class Lab {
  private readonly kernels = new Map<string, Promise<Kernel>>()
  private readonly hostRoots = new Map<string | undefined, Promise<string>>()

  private constructor(
    readonly qemu: string,
    private readonly tools: Tools,
    private readonly project: string,
    private readonly progress: Progress,
  ) {}

  /** @throws LabUnavailable */
  static async open(progress: Progress): Promise<Lab> {
    if (process.arch !== 'x64')
      throw new LabUnavailable(`the lab is a PC, and this machine is ${process.arch}`)
    // Of all of them the one that a container may be without.
    if (findProgram('mke2fs') === undefined) installPackage('e2fsprogs', 'mke2fs')
    for (const program of programs)
      if (findProgram(program) === undefined)
        throw new LabUnavailable(
          `the lab is made from the distribution's packages, and ${program} is missing`,
        )
    const qemu = requireQemu()
    if (qemu === undefined) throw new LabUnavailable('QEMU is missing')
    progress.say('the lab: tools and project')
    const tools = await fetchTools(new Archive('bookworm', false, progress), qemu).catch(unavailable)
    const lab = new Lab(qemu, tools, await projectDisk(), progress)
    for (const prefix of ['project-', 'tools-', 'host-']) forgetOld(labFolder('disks'), prefix)
    return lab
  }

  /** @throws LabUnavailable */
  kernel(label: string): Promise<Kernel> {
    const known = this.kernels.get(label) ?? this.fetch(label)
    this.kernels.set(label, known)
    return known
  }

  /**
   * A folder for one run, which boots the first of these kernels, with what can be booted in it from inside:
   * kernel/LABEL/{vmlinuz,initrd}, the label of the Linux guest being guest. Links, so that clearing the cache does not take them away from a run.
   */
  async runFiles(name: string, { kernels, systemd = false }: RunFilesOptions): Promise<RunFiles> {
    const folder = labFolder('run', name)
    const bootable = [...new Set(kernels), guestLabel] as const
    for (const label of bootable) {
      const { image, initrd } = await (label === guestLabel ? guestFiles(this.progress) : this.kernel(label))
      const place = path.join(folder, bootFolder, label)
      mkdirSync(place, { recursive: true })
      linkSync(image, path.join(place, 'vmlinuz'))
      linkSync(initrd, path.join(place, 'initrd'))
    }
    const linked = (image: string, link: string) => {
      linkSync(image, path.join(folder, bootFolder, link))
      return path.join(folder, bootFolder, link)
    }
    const disks = [this.tools.disk, this.project].map((image, index) => linked(image, `disk${index}`))
    const root = systemd ? linked(await this.host(systemd), 'root') : undefined
    const place = path.join(folder, bootFolder, kernels[0])
    return { folder, image: path.join(place, 'vmlinuz'), initrd: path.join(place, 'initrd'), disks, root }
  }

  private host(systemd: true | string): Promise<string> {
    const suite = systemd === true ? namedSuite : systemd
    const root = this.hostRoots.get(suite) ?? systemdHost(this.tools, suite, this.progress).catch(unavailable)
    this.hostRoots.set(suite, root)
    return root
  }

  private async fetch(label: string): Promise<Kernel> {
    const kernel = await fetchKernel(kernelChoice(label), this.tools.busybox, this.progress).catch(
      unavailable,
    )
    forgetOld(labFolder('initrds'), `initrd-${label}-`)
    return kernel
  }
}

/** Of a run's folder: what its machine boots from. */
export const bootFolder = 'kernel'

function unavailable(error: Error): never {
  throw new LabUnavailable(`the distribution's packages can't be had: ${error.message}`, { cause: error })
}

/** Each change of the project makes a new disk. */
function forgetOld(folder: string, prefix: string): void {
  const old = readdirSync(folder)
    .filter(name => name.startsWith(prefix) && !name.includes('.part'))
    .map(name => path.join(folder, name))
    .map(file => ({ file, usedMs: statSync(file).mtimeMs }))
    .sort((a, b) => b.usedMs - a.usedMs)
    .slice(keptMax)
    .filter(({ usedMs }) => Date.now() - usedMs > unusedMsMin)
  for (const { file } of old) rmSync(file, { force: true })
}
