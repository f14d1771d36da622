import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { packageRoot } from '../support/package-root'
import { Archive } from './archive'
import { hashTexts, labFolder, whole } from './cache'
import { command } from './command'
import { luo } from './kernels'
import type { Progress } from './progress'

const optionsFile = path.join(packageRoot, 'test/lab/kernel/luo.config')

/** How many files are compiled between two lines that say so. */
const filesAtOnce = 200

/** Where a built kernel lies in the cache: its name changes with the options. */
export function builtKernelFolder(): string {
  const name = `${luo.source}-${hashTexts([readFileSync(optionsFile, 'utf8')])}`
  return path.join(labFolder('kernels'), name)
}

/** The lab's own kernel. Takes five minutes of two processors, once. */
export async function buildKernel(progress: Progress): Promise<{ release: string; image: string }> {
  const folder = await whole(builtKernelFolder(), async unfinished => {
    const work = `${unfinished}.build`
    mkdirSync(work, { recursive: true })
    try {
      await build(work, await buildEnvironment(progress), progress)
      mkdirSync(unfinished)
      copyFileSync(path.join(work, 'out/arch/x86/boot/bzImage'), path.join(unfinished, 'vmlinuz'))
      for (const [from, to] of [
        ['.config', 'config'],
        ['include/config/kernel.release', 'release'],
      ] as const)
        copyFileSync(path.join(work, 'out', from), path.join(unfinished, to))
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  })
  const release = readFileSync(path.join(folder, 'release'), 'utf8').trim()
  return { release, image: path.join(folder, 'vmlinuz') }
}

async function build(work: string, env: NodeJS.ProcessEnv, progress: Progress): Promise<void> {
  const archive = new Archive(luo.suite, luo.security, progress)
  const packed = await archive.unpacked(luo.source, async () => [luo.source])
  progress.say('unpacking the kernel')
  const tree = path.join(work, 'source')
  mkdirSync(tree)
  const tar = path.join(packed, 'usr/src', `${luo.source}.tar.xz`)
  await command('tar', ['-xJf', tar, '--strip-components=1', '-C', tree], { env })
  const make = ['-C', tree, 'ARCH=x86_64', `O=${path.join(work, 'out')}`]
  await command('make', [...make, 'tinyconfig'], { env })
  const config = path.join(work, 'out/.config')
  const merge = path.join(tree, 'scripts/kconfig/merge_config.sh')
  await command(merge, ['-m', '-O', path.join(work, 'out'), config, optionsFile], { cwd: tree, env })
  await command('make', [...make, 'olddefconfig'], { env })
  requireOptions(readFileSync(config, 'utf8'))
  progress.say('compiling the kernel')
  await compile([...make, `-j${availableParallelism()}`, 'bzImage'], env, progress)
}

/** An option that depends on another one that is off vanishes without a word. */
function requireOptions(config: string): void {
  const wanted = readFileSync(optionsFile, 'utf8').match(/^CONFIG_.*$/gm) ?? []
  const lines = new Set(config.split('\n'))
  const missing = wanted.filter(line => !lines.has(line))
  if (missing.length > 0) throw new Error(`the kernel does not take these options: ${missing.join(' ')}`)
}

function compile(args: readonly string[], env: NodeJS.ProcessEnv, progress: Progress): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('make', args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let compiled = 0
    let complaints = ''
    createInterface(child.stdout).on('line', line => {
      if (/^ +(?:HOST)?CC /.test(line) && ++compiled % filesAtOnce === 0)
        progress.say(`compiling the kernel: ${compiled} files`)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
    })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`the kernel does not compile: ${signal ?? `exit status ${code}`}\n${complaints}`))
    })
  })
}

/** What a kernel's build needs beside a C compiler and make, from packages that are unpacked and not installed. */
async function buildEnvironment(progress: Progress): Promise<NodeJS.ProcessEnv> {
  const archive = new Archive('bookworm', false, progress)
  const tools = await archive.unpacked('kernel-build', () =>
    archive.withLibraries('flex', 'bison', 'm4', 'bc', 'xz-utils', 'libelf-dev', 'zlib1g-dev', 'zlib1g'),
  )
  const at = (...names: string[]) => path.join(tools, ...names)
  const libraries = [at('usr/lib/x86_64-linux-gnu'), at('lib/x86_64-linux-gnu')].join(':')
  return {
    ...process.env,
    PATH: `${at('usr/bin')}:${at('bin')}:${process.env.PATH}`,
    M4: at('usr/bin/m4'),
    BISON_PKGDATADIR: at('usr/share/bison'),
    CPATH: at('usr/include'),
    LIBRARY_PATH: libraries,
    LD_LIBRARY_PATH: libraries,
    KBUILD_BUILD_USER: 'lab',
    KBUILD_BUILD_HOST: 'lab',
  }
}
