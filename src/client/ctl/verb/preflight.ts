import { existsSync, readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { systemReason } from '../../../../protocol/system-reason'
import { exitCode, UsageError } from '../exit'
import { defaultConfiguration } from '../host/configured-range'
import { type KernelBuild, modulesIn, parseKernelConfig } from '../host/kernel-build'
import { findBuild } from '../host/kernel-image'
import { type CommandLineOptions, checkNextKernel, describeCheck, nextCommandLine } from '../host/next-kernel'
import { addVerb } from '../verb'
import { print } from '../verb-context'

interface Options extends CommandLineOptions {
  config?: string
  kernelConfig?: string
  modules?: string
  kernel?: string
  sameFormat?: boolean
}

export function addPreflight(program: Command): void {
  addVerb(program, {
    usage: 'preflight',
    summary: 'Check that the next kernel keeps the ranges; refuse a command line that would lose one',
    examples: [
      'preflight && kexec -s -l /boot/vmlinuz-VERSION --initrd=/boot/initrd.img-VERSION --reuse-cmdline && systemctl kexec',
      `preflight --append "$(cat /etc/kernel/cmdline)"`,
      'preflight --kernel 6.12.60-1',
      'preflight --kernel-config /boot/config-6.12.0 --modules /lib/modules/6.12.0',
    ],
    notes: `preflight builds the line as kexec does: --append is the whole line; with --reuse-cmdline it comes behind the running
kernel's; without either, the line is the running kernel's. It reads ranges from the configuration, and the memory map
from /sys/firmware/memmap. It needs no broker and no root. --kernel is enough for a kernel whose configuration and modules
are on this host.

Load the image with kexec -s: without it kexec does not see the memory that this kernel reserved, and may put the next
kernel into a range.`,
  })
    .option('--append <line>', "the next kernel's command line")
    .option('--reuse-cmdline', "the running kernel's command line, with --append behind it")
    .option('-c, --config <file>', `the broker's configuration; default: ${defaultConfiguration}`)
    .option('--kernel <file>', 'the next kernel: its release, or its file')
    .option('--same-format', 'vouch that the next kernel, of another release, reads what this one preserves')
    .option('--kernel-config <file>', "the next kernel's build configuration, /boot/config-VERSION")
    .option('--modules <folder>', "the next kernel's modules, /lib/modules/VERSION")
    .action(async (options: Options, command: Command) => {
      const json = command.optsWithGlobals<{ json?: boolean }>().json === true
      const { sameFormat, config } = options
      const check = await checkNextKernel(nextCommandLine(options), buildOf(options), { sameFormat }, config)
      if (!check.good) process.exitCode = exitCode.unsafe
      print(json, check, () =>
        [...describeCheck(check), ...(check.good ? ['Load the kernel with kexec -s.'] : [])].join('\n'),
      )
    })
}

function buildOf({ kernel, kernelConfig, modules }: Options): KernelBuild {
  const build = kernel === undefined ? { options: undefined, modules: undefined } : findBuild(kernel)
  return {
    ...build,
    ...(kernelConfig !== undefined && {
      options: parseKernelConfig(readOption('--kernel-config', kernelConfig)),
    }),
    ...(modules !== undefined && { modules: modulesOption(modules) }),
  }
}

function readOption(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${option}: ${file}: ${systemReason(error)}`)
  }
}

function modulesOption(folder: string): Set<string> {
  if (!existsSync(folder)) throw new UsageError(`--modules: there is no ${folder}`)
  const modules = modulesIn(folder)
  if (modules.size === 0) throw new UsageError(`--modules: there are no modules in ${folder}`)
  return modules
}
