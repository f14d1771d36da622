import { Command } from 'commander'
import { version } from './version'

export interface Options {
  config?: string
  socket?: string
  directory?: string
  size?: string
  logLevel?: string
  check?: boolean
  json?: boolean
  format?: string
}

export const exit = { good: 0, failed: 1, usage: 2 } as const

export const exitCodes: Record<number, string> = {
  [exit.good]: 'shut down in order',
  [exit.failed]: 'the broker could not start, or found an internal error',
  [exit.usage]: 'wrong usage or configuration',
}

export const examples = [
  ['membrokerd', 'try it, with 4 KiB pages on /dev/shm'],
  ['membrokerd --config /etc/membroker.toml', 'run it on a host'],
  ['membrokerd --config new.toml --check', 'check a configuration'],
] as const

/** Its options and its help. */
export function commandLine(): Command {
  return new Command('membrokerd')
    .description(
      'Owns reserved memory and hands it to virtual machine monitors as mmap-able file descriptors.',
    )
    .version(version)
    .option('-c, --config <file>', 'configuration (TOML); default: a directory on /dev/shm for this user')
    .option('-s, --socket <path>', 'listen at this path')
    .option('-d, --directory <path>', 'without --config: keep the memory in this directory')
    .option('--size <size>', 'without --config: how much memory, for example 8G')
    .option('-l, --log-level <level>', 'how much to log: trace, debug, info, warn, error or silent')
    .option(
      '--format <range>',
      'make an empty table in this range of the configuration, which ends all its allocations, and exit',
    )
    .option('--check', 'only read the configuration, and report mistakes')
    .option('--json', 'with --check: print the configuration as JSON')
    .helpOption('-h, --help', 'show this help')
    .addHelpText(
      'after',
      `
Logs go to standard error: JSON lines, or readable ones on a terminal.

Exit codes: ${Object.entries(exitCodes)
        .map(([code, meaning]) => `${code} ${meaning}`)
        .join('; ')}.

Examples:
${examples.map(([command, what]) => `  ${command.padEnd(44)} ${what}`).join('\n')}`,
    )
    .showHelpAfterError('hint: membrokerd --help explains it')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'membrokerd: ')) })
}
