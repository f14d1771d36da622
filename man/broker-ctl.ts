import type { Argument, Command, Option } from 'commander'
import { version } from '../src/broker/version'
import { exitCodes } from '../src/client/ctl/exit'
import { buildProgram } from '../src/client/ctl/program'
import { Verb } from '../src/client/ctl/verb'
import { bold, definitions, prose, section, subsection, text, title, usage, verbatim } from './roff'

const common = ['--socket', '--json', '--help']

/** broker-ctl(1): every verb, from its --help. */
export function brokerCtlPage(): string {
  const program = buildProgram()
  const helper = program.createHelp()
  const options = helper.visibleOptions(program)
  const isCommon = ({ long }: Option) => common.includes(long ?? '')
  return `${[
    title('broker-ctl', 1, version),
    section('NAME', `broker\\-ctl \\- ${text(lowered(program.description()))}`),
    section('SYNOPSIS', `${bold('broker-ctl')} ${usage('[options] <verb> [arguments]')}`),
    section(
      'DESCRIPTION',
      prose(
        `membrokerd(8) owns reserved memory and hands it out. broker-ctl calls it over its socket, with the rights of the user who runs broker-ctl. Write sizes as 4G, 512M, 2MiB (powers of 1024) or as bytes.`,
      ),
    ),
    section(
      'OPTIONS',
      prose('Before or after any verb:'),
      optionList(options.filter(isCommon)),
      prose('Before the verb:'),
      optionList(options.filter(option => !isCommon(option))),
    ),
    section('VERBS', ...verbs(program, '').map(({ verb, path }) => verbPart(verb, path))),
    section(
      'ENVIRONMENT',
      definitions([
        [bold('MEMBROKER_SOCKET'), "The broker's socket, without --socket."],
        [bold('MEMBROKER_VM_DIRECTORY'), 'Folder of the files of VMs, without --directory.'],
        [
          bold('MEMBROKER_VM_RUNTIME'),
          "Folder of the runners' sockets. Default: /run/membroker-vm; not as root, membroker-vm in $XDG_RUNTIME_DIR.",
        ],
        [bold('NO_COLOR'), 'If it is set, and FORCE_COLOR is not: no colors, also on a terminal.'],
        [bold('FORCE_COLOR'), 'If it is set: colors also without a terminal; 0: none.'],
        [bold('TERM'), 'dumb: no colors, no progress, and top prints a single frame.'],
        [
          bold('LC_ALL, LC_CTYPE, LANG'),
          'If the first of them that is set does not name UTF-8, map and top draw in ASCII.',
        ],
      ]),
    ),
    section(
      'EXIT STATUS',
      definitions(Object.entries(exitCodes).map(([code, meaning]) => [bold(code), meaning])),
    ),
    section(
      'SEE ALSO',
      `${bold('membrokerd')}(8), ${bold('membroker.toml')}(5), ${bold('membroker-vm.toml')}(5)`,
    ),
  ].join('\n')}\n`
}

interface ListedVerb {
  readonly verb: Command
  /** The words before it: 'table '. */
  readonly path: string
}

function verbs(parent: Command, path: string): ListedVerb[] {
  return parent
    .createHelp()
    .visibleCommands(parent)
    .filter(child => child.name() !== 'help')
    .flatMap(child => [
      ...(child instanceof Verb ? [{ verb: child, path }] : []),
      ...verbs(child, `${path}${child.name()} `),
    ])
}

function verbPart(verb: Command, path: string): string {
  const helper = verb.createHelp()
  const options = helper.visibleOptions(verb).filter(({ long }) => !common.includes(long ?? ''))
  const words = [
    `${path}${verb.name()}`,
    ...(options.length > 0 ? ['[options]'] : []),
    ...verb.registeredArguments.map(argumentUsage),
  ]
  const { notes, examples } = verb instanceof Verb ? verb.described : { examples: [] }
  return subsection(
    usage(words.join(' ')),
    text(`${verb.description()}.`),
    ...(options.length > 0 ? [optionList(options)] : []),
    ...(notes ? [prose(notes)] : []),
    verbatim(examples.flatMap(example => `broker-ctl ${example}`.split('\n'))),
  )
}

function argumentUsage(argument: Argument): string {
  const word = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? `<${word}>` : `[${word}]`
}

export function optionList(options: readonly Option[]): string {
  return definitions(
    options.map(({ flags, description, argChoices }) => [
      usage(flags),
      `${raised(description)}${argChoices ? `: ${argChoices.join(', ')}` : ''}.`,
    ]),
  )
}

function lowered(sentence: string): string {
  return sentence[0]!.toLowerCase() + sentence.slice(1)
}

function raised(sentence: string): string {
  return sentence[0]!.toUpperCase() + sentence.slice(1)
}
