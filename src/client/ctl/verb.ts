import { Command, Option } from 'commander'
import { exitCodeHelp } from './exit'

interface VerbDescription {
  /** As commander takes it: 'grow <name> <size>'. */
  readonly usage: string
  readonly summary: string
  readonly examples: readonly string[]
  /** Paragraphs after the options. */
  readonly notes?: string
  /** The reason why -H does not run it on another host. */
  readonly staysHere?: string
}

/** A verb, and the description that it was made from. A noun that only has verbs is a plain command. */
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
  const { usage, summary, examples, notes } = description
  const [name, ...words] = usage.split(' ')
  const lines = examples.map(example => `  broker-ctl ${example}`).join('\n')
  const verb = new Verb(name!, description).copyInheritedSettings(parent).description(summary)
  for (const word of words) verb.argument(word)
  verb
    .addOption(socketOption())
    .addOption(jsonOption())
    .addHelpText('after', `${notes ? `\n${notes}\n` : ''}\nExamples:\n${lines}\n${exitCodeHelp}`)
  parent.addCommand(verb)
  return verb
}

export function socketOption(): Option {
  return new Option(
    '--socket <path>',
    "the broker's socket; default: $MEMBROKER_SOCKET; else, for a user other than root, " +
      '$XDG_RUNTIME_DIR/membroker/broker.sock if it exists; else /run/membroker/broker.sock',
  )
}

export function jsonOption(): Option {
  return new Option('--json', 'JSON for programs: bytes as integers, errors as an object on stderr')
}

export function secretOption(): Option {
  return new Option('--secret-file <path>', "file with the allocation's secret; - reads it from stdin")
}
