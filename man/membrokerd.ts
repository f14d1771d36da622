import { commandLine, examples, exitCodes } from '../src/broker/command-line'
import { version } from '../src/broker/version'
import { optionList } from './broker-ctl'
import { bold, definitions, prose, section, title, usage, verbatim } from './roff'

/** membrokerd(8). */
export function membrokerdPage(): string {
  const program = commandLine()
  return `${[
    title('membrokerd', 8, version),
    section('NAME', 'membrokerd \\- owns reserved memory and hands it out as mmap\\-able file descriptors'),
    section('SYNOPSIS', `${bold('membrokerd')} ${usage('[options]')}`),
    section(
      'DESCRIPTION',
      prose(`membrokerd owns ranges of memory and hands out pieces of them over a Unix socket, to virtual machine monitors and other programs. It keeps every answered change in an allocation table with the memory, which is valid at every instruction. So nobody has to save anything before a crash, a kill or a kexec, and a new broker goes on where the last one was.

If membrokerd can't trust a range's table or memory, it makes the range read-only, with the reason in the log and in "broker-ctl ranges"; the others go on. It never formats over a table that it can't read.

It logs to standard error: JSON lines, or readable ones on a terminal.`),
    ),
    section('OPTIONS', optionList(program.createHelp().visibleOptions(program))),
    section(
      'SIGNALS',
      definitions([
        [
          bold('SIGHUP'),
          'Reads the configuration again, as "broker-ctl reload" does. A file with a mistake changes nothing.',
        ],
        [bold('SIGTERM, SIGINT'), 'Ends the broker. Memory and table stay.'],
      ]),
    ),
    section(
      'FILES',
      definitions([
        [bold('/etc/membroker.toml'), 'The usual place of the configuration; see membroker.toml(5).'],
        [
          bold('/run/membroker/broker.sock'),
          'The socket, unless the configuration or --socket names another.',
        ],
      ]),
    ),
    section(
      'EXIT STATUS',
      definitions(Object.entries(exitCodes).map(([code, meaning]) => [bold(code), `${meaning}.`])),
    ),
    section('EXAMPLES', ...examples.map(([command, what]) => `${prose(`${what}:`)}\n${verbatim([command])}`)),
    section('SEE ALSO', `${bold('broker-ctl')}(1), ${bold('membroker.toml')}(5)`),
  ].join('\n')}\n`
}
