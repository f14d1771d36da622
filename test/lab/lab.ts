import {
  createReadStream,
  createWriteStream,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { findProgram, requireQemu } from '../guest/require-qemu'
import { Archive } from './archive'
import { hashTexts, labFolder, whole } from './cache'
import { fetchKernel, type Kernel } from './kernel'
import { kernelChoice } from './kernels'
import type { Progress } from './progress'
import { projectLayer } from './project'
import { type Tools, toolsLayer } from './tools'

/** Old images that are kept in the cache, for each kernel, however long nobody asked for them. */
const imagesKeptMax = 2
/** Images asked for since then are kept, however many: another run may be about to boot from them. */
const unusedMsMin = 2 * 3600 * 1000

/** Thrown where this machine can't have a lab at all, however right the project is. */
export class LabUnavailable extends Error {
  override name = 'LabUnavailable'
}

export interface BootFiles {
  image: string
  initrd: string
}

/** Kernels and root filesystems, ready to boot. */
export class Lab {
  readonly #kernels = new Map<string, Promise<Kernel & BootFiles>>()

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
    for (const program of ['apt-get', 'apt-cache', 'dpkg', 'ldd', 'tar', 'setpriv'])
      if (findProgram(program) === undefined)
        throw new LabUnavailable(
          `the lab is made from the distribution's packages, and ${program} is missing`,
        )
    const qemu = requireQemu()
    if (qemu === undefined) throw new LabUnavailable('QEMU is missing')
    progress.say('the lab: tools and project')
    const tools = await toolsLayer(new Archive('bookworm', false, progress), qemu).catch(unavailable)
    return new Lab(qemu, tools, await projectLayer(), progress)
  }

  /** @throws LabUnavailable */
  kernel(label: string): Promise<Kernel & BootFiles> {
    const known = this.#kernels.get(label) ?? this.#build(label)
    this.#kernels.set(label, known)
    return known
  }

  /**
   * A folder for one run, with what can be booted in it from inside: kernel/LABEL/{vmlinuz,initrd}. Links, so that
   * clearing the cache does not take them away from a run.
   */
  async runFolder(name: string, labels: readonly string[]): Promise<string> {
    const folder = labFolder('run', name)
    for (const label of new Set(labels)) {
      const { image, initrd } = await this.kernel(label)
      const place = path.join(folder, 'kernel', label)
      mkdirSync(place, { recursive: true })
      linkSync(image, path.join(place, 'vmlinuz'))
      linkSync(initrd, path.join(place, 'initrd'))
    }
    return folder
  }

  async #build(label: string): Promise<Kernel & BootFiles> {
    const kernel = await fetchKernel(kernelChoice(label), this.tools.busybox, this.progress).catch(
      unavailable,
    )
    const layers = [this.tools.layer, kernel.layer, this.project]
    const folder = labFolder('images')
    const file = path.join(folder, `${label}-${hashTexts(layers.map(layer => path.basename(layer)))}.initrd`)
    const initrd = await whole(file, async unfinished => {
      const output = createWriteStream(unfinished)
      for (const layer of layers)
        await pipeline(createReadStream(layer, { highWaterMark: 2 ** 20 }), output, { end: false })
      await new Promise<void>((resolve, reject) => {
        output.once('error', reject)
        output.end(resolve)
      })
    })
    forgetOld(folder, `${label}-`)
    for (const prefix of ['project-', 'tools-']) forgetOld(labFolder('layers'), prefix)
    return { ...kernel, initrd }
  }
}

function unavailable(error: Error): never {
  throw new LabUnavailable(`the distribution's packages can't be had: ${error.message}`, { cause: error })
}

/** Each change of the project makes new images of a hundred megabytes and more. */
function forgetOld(folder: string, prefix: string): void {
  const old = readdirSync(folder)
    .filter(name => name.startsWith(prefix) && !name.endsWith('.part'))
    .map(name => path.join(folder, name))
    .map(file => ({ file, usedMs: statSync(file).mtimeMs }))
    .sort((a, b) => b.usedMs - a.usedMs)
    .slice(imagesKeptMax)
    .filter(({ usedMs }) => Date.now() - usedMs > unusedMsMin)
  for (const { file } of old) rmSync(file, { force: true })
}
