import { Argument, Command, Option } from 'commander'
import { exitCodeHelp } from './exit'

interface VerbDescription {
  /** As commander takes it: 'grow <name> <size>'. */
  readonly usage: string
  readonly summary: string
  readonly examples: readonly string[]
  /** Paragraphs after the options. */
  readonly notes?: string
  /** Parsers of its arguments, by name. They run before the verb does, and before it connects. */
  readonly parsers?: Readonly<Record<string, (text: string, before: never) => unknown>>
  /** The reason why -H does not run it on another host. */
  readonly staysHere?: string
}

/** A verb, and the description that it was made from. */
export class Verb extends Command {
  constructor(
    name: string,
    readonly described: VerbDescription,
  ) {
    super(name)
  }
}

/** A verb with the common parts: --socket, --json, examples and exit codes in its help. */
export function addVerb(parent: Command, description: VerbDescription): Command {
  const { usage, summary, examples, notes, parsers = {} } = description
  const [name, ...words] = usage.split(' ')
  const lines = examples.map(example => `  broker-ctl ${example}`).join('\n')
  const verb = new Verb(name!, description).copyInheritedSettings(parent).description(summary)
  for (const word of words) {
    const argument = new Argument(word)
    const parser = parsers[argument.name()]
    if (parser) argument.argParser(parser as (text: string, before: unknown) => unknown)
    verb.addArgument(argument)
  }
  verb
    .addOption(socketOption())
    .addOption(jsonOption())
    .addHelpText('after', `${notes ? `\n${notes}\n` : ''}\nExamples:\n${lines}\n${exitCodeHelp}`)
  parent.addCommand(verb)
  return verb
}

/** The command that prints the help of the verb that was asked for, as far as the words name one. */
export function helpCommand(program: Command): string {
  const words = [program.name()]
  for (let command: Command | undefined = program; ; ) {
    const word: string | undefined = command.args[0]
    command = command.commands.find(child => child.name() === word)
    if (!command) return [...words, '--help'].join(' ')
    words.push(command.name())
  }
}

/** Beside the other verbs, where commander would make a group of its own. */
export function helpVerb(heading: string): Command {
  return new Command('help')
    .argument('[verb]')
    .description('Help of a verb')
    .helpOption(false)
    .helpGroup(heading)
}

export const verbUsage = '[options] <verb> [arguments]'

/** A noun, which only has verbs. */
export function addNoun(parent: Command, name: string, summary: string): Command {
  return parent
    .command(name)
    .description(summary)
    .usage(verbUsage)
    .commandsGroup('Verbs:')
    .addHelpCommand(helpVerb('Verbs:'))
}

export function socketOption(): Option {
  return new Option(
    '--socket <path>',
    "the broker's socket; default: $MEMBROKER_SOCKET; else, for a user other than root, " +
      '$XDG_RUNTIME_DIR/membroker/broker.sock if it exists; else /run/membroker/broker.sock',
  )
}

export function jsonOption(): Option {
  return new Option('--json', 'print JSON, for programs: bytes as integers, errors as an object on stderr')
}

export function secretOption(): Option {
  return new Option('--secret-file <path>', "file with the allocation's secret; - reads it from stdin")
}
