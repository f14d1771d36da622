import type { Command } from 'commander'
import type { Retired, Step } from '../../index'
import { each, readSecret, wholeArgument } from '../arguments'
import { paint, printable, size } from '../table'
import { portion } from '../terminal/progress'
import { addVerb, secretOption } from '../verb'
import { pause, type VerbContext, withBroker } from '../verb-context'

interface EndOptions {
  graceMs?: number
  secretFile?: string
}

/** How often to ask how far the broker is. */
const waitMs = 200

const graceHelp = 'time that holders have to let go, before the broker follows on_deadline'

/** Release and revoke: they take their time, and tell each step. */
export function addEndVerbs(program: Command): void {
  addRelease(program)
  addRevoke(program)
}

function addRelease(program: Command): void {
  addVerb(program, {
    usage: 'release <name...>',
    summary: 'End allocations: revoke their mappings, scrub and free their memory',
    examples: [
      'release vm-42/ram',
      'release vm-42/ram vm-42/rom --grace-ms 5000',
      'release vm-42/ram --wait',
    ],
    notes: `released: nobody reaches the memory, and it is scrubbed. quarantined: there is no proof yet that the last holder is
gone; the name is free, the memory is not.`,
  })
    .option('--grace-ms <ms>', graceHelp, wholeArgument)
    .option('--wait', 'wait until the memory is free: scrubbed, and out of quarantine')
    .addOption(secretOption())
    .action((names: string[], options: EndOptions & { wait?: boolean }, command: Command) => {
      const secret = readSecret(options.secretFile)
      return withBroker(command, async context => {
        const { broker, signal, progress } = context
        for (const name of names) {
          progress.say(`releasing ${printable(name)}`)
          const before = options.wait ? await retiredOf(context, name) : []
          const allocation = await broker.allocation(name, { ...secret, signal })
          const outcome = await allocation.release({
            graceMs: options.graceMs,
            signal,
            onStep: tell(context, { name }),
          })
          conclude(context, { name }, outcome)
          if (options.wait) await untilFree(context, name, before)
          progress.end()
        }
      })
    })
}

/** Retired memory that an allocation of that name left. */
async function retiredOf({ broker, signal }: VerbContext, name: string): Promise<Retired[]> {
  return (await broker.status({ signal })).retired.filter(({ allocation }) => allocation === name)
}

/** before: retired memory of an earlier allocation of that name. */
async function untilFree(context: VerbContext, name: string, before: readonly Retired[]): Promise<void> {
  const { progress, signal, print } = context
  const earlier = new Set(before.map(({ id }) => id))
  for (;;) {
    const waiting = (await retiredOf(context, name)).filter(({ id }) => !earlier.has(id))
    if (waiting.length === 0) break
    const sum = (of: (entry: Retired) => number) => waiting.reduce((all, entry) => all + of(entry), 0)
    const quarantined = waiting.find(({ state }) => state === 'quarantined')
    const how = quarantined
      ? `in quarantine: ${quarantined.reason}`
      : `scrubbing ${portion(
          sum(entry => entry.scrubbedBytes),
          sum(entry => entry.bytes),
          size,
        )}`
    progress.say(printable(`${name}: ${how}`))
    await pause(waitMs, signal)
  }
  print({ name, outcome: 'free' }, () => paint(printable(`${name}: free`), 'green'))
}

function addRevoke(program: Command): void {
  addVerb(program, {
    usage: 'revoke <mapping...>',
    summary: 'Take mappings back from their holders, by number',
    examples: ['revoke 17', 'revoke 17 18 --grace-ms 0'],
    notes: 'broker-ctl show NAME lists the numbers of an allocation.',
    parsers: { mapping: each(wholeArgument) },
  })
    .option('--grace-ms <ms>', graceHelp, wholeArgument)
    .addOption(secretOption())
    .action((mappings: number[], options: EndOptions, command: Command) => {
      const secret = readSecret(options.secretFile)
      return withBroker(command, async context => {
        const { broker, signal } = context
        for (const mapping of mappings) {
          context.progress.say(`revoking mapping ${mapping}`)
          const onStep = tell(context, { mapping })
          conclude(
            context,
            { mapping },
            await broker.revoke(mapping, { graceMs: options.graceMs, ...secret, signal, onStep }),
          )
        }
      })
    })
}

type Subject = { name: string } | { mapping: number }

function label(subject: Subject): string {
  return 'name' in subject ? subject.name : `mapping ${subject.mapping}`
}

function tell({ print }: VerbContext, subject: Subject): (step: Step) => void {
  return step =>
    print({ ...subject, ...step }, () => paint(printable(`${label(subject)}: ${step.step}`), 'dim'))
}

function conclude({ print }: VerbContext, subject: Subject, outcome: string): void {
  const color = outcome === 'quarantined' ? 'yellow' : 'green'
  print({ ...subject, outcome }, () => paint(printable(`${label(subject)}: ${outcome}`), color))
}
