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
  [exit.failed]: 'could not start, or an internal error',
  [exit.usage]: 'bad usage or configuration',
}

export const examples = [
  ['membrokerd', '4 KiB pages on /dev/shm, for trying it out'],
  ['membrokerd --config /etc/membroker.toml', 'what a host runs'],
  ['membrokerd --config new.toml --check', 'is it right?'],
] as const

/** Its options, and what --help says. */
export function commandLine(): Command {
  return new Command('membrokerd')
    .description(
      'Owns reserved memory and hands it to virtual machine monitors as mmap-able file descriptors.',
    )
    .version(version)
    .option('-c, --config <file>', 'configuration (TOML); without one, a directory on /dev/shm for this user')
    .option('-s, --socket <path>', 'listen here')
    .option('-d, --directory <path>', 'without --config: keep the memory in this directory')
    .option('--size <size>', 'without --config: how much memory, for example 8G')
    .option('-l, --log-level <level>', 'trace, debug, info, warn, error or silent')
    .option(
      '--format <range>',
      'make an empty table in this range of the configuration, whatever is there, and end',
    )
    .option('--check', 'only read the configuration, and say what is wrong with it')
    .option('--json', 'with --check: print what was read, as JSON')
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
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'membrokerd: ')) })
}
