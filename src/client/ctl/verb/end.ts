import type { Command } from 'commander'
import type { Step } from '../../index'
import { readSecret, type Session, wholeArgument, withBroker } from '../session'
import { paint } from '../table'
import { addVerb, secretOption } from '../verb'

interface EndOptions {
  graceMs?: number
  secretFile?: string
}

const graceHelp = "how long holders are asked before the range's policy decides"

/** Release and revoke: they take their time, and tell each step. */
export function addEndVerbs(program: Command): void {
  addRelease(program)
  addRevoke(program)
}

function addRelease(program: Command): void {
  addVerb(program, {
    usage: 'release <name...>',
    summary: 'End allocations: revoke their mappings, scrub and free their memory',
    examples: ['release vm-42/ram', 'release vm-42/ram vm-42/rom --grace-ms 5000'],
  })
    .option('--grace-ms <ms>', graceHelp, wholeArgument)
    .addOption(secretOption())
    .action((names: string[], options: EndOptions, command: Command) =>
      withBroker(command, async session => {
        const { broker, signal } = session
        const secret = readSecret(options.secretFile)
        for (const name of names) {
          const allocation = await broker.allocation(name, { ...secret, signal })
          const outcome = await allocation.release({
            graceMs: options.graceMs,
            signal,
            onStep: tell(session, { name }),
          })
          conclude(session, { name }, outcome)
        }
      }),
    )
}

function addRevoke(program: Command): void {
  addVerb(program, {
    usage: 'revoke <mapping...>',
    summary: 'Take mappings back from their holders, by number',
    examples: ['revoke 17', 'revoke 17 18 --grace-ms 0'],
    notes: 'broker-ctl show NAME lists the numbers of an allocation.',
  })
    .option('--grace-ms <ms>', graceHelp, wholeArgument)
    .addOption(secretOption())
    .action((mappings: string[], options: EndOptions, command: Command) =>
      withBroker(command, async session => {
        const { broker, signal } = session
        const secret = readSecret(options.secretFile)
        for (const mapping of mappings.map(wholeArgument)) {
          const onStep = tell(session, { mapping })
          conclude(
            session,
            { mapping },
            await broker.revoke(mapping, { graceMs: options.graceMs, ...secret, signal, onStep }),
          )
        }
      }),
    )
}

type Subject = { name: string } | { mapping: number }

function label(subject: Subject): string {
  return 'name' in subject ? subject.name : `mapping ${subject.mapping}`
}

function tell({ print }: Session, subject: Subject): (step: Step) => void {
  return step => print({ ...subject, ...step }, () => paint(`${label(subject)}: ${step.step}`, 'dim'))
}

function conclude({ print }: Session, subject: Subject, outcome: string): void {
  const colour = outcome === 'quarantined' ? 'yellow' : 'green'
  print({ ...subject, outcome }, () => paint(`${label(subject)}: ${outcome}`, colour))
}
