import { Argument, type Command } from 'commander'
import type { LogLevel, Reloaded } from '../../index'
import { fields } from '../table'
import { addVerb } from '../verb'
import { withBroker } from '../verb-context'

const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent']

/** An administrator's orders to the running broker. */
export function addServiceVerbs(program: Command): void {
  addVerb(program, {
    usage: 'reload',
    summary: 'Make the broker read its configuration again',
    examples: ['reload'],
    notes: `For administrators; SIGHUP does the same. No client is disconnected. Owners, quotas, administrators, revocation and
the log level take effect at once, the rest at the next start. A file with a mistake changes nothing.`,
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const reloaded = await broker.reload({ signal })
      print(reloaded, () => describe(reloaded))
    }),
  )

  addVerb(program, {
    usage: 'log-level',
    summary: 'Set how much the broker logs, until its next start or reload',
    examples: ['log-level debug'],
    notes: 'For administrators.',
  })
    .addArgument(new Argument('<level>', 'from the most to nothing').choices(levels))
    .action((level: LogLevel, _options, command: Command) =>
      withBroker(command, async ({ broker, signal, print }) => {
        await broker.setLogLevel(level, { signal })
        print({ level }, () => `log level ${level}`)
      }),
    )

  addVerb(program, {
    usage: 'console',
    summary: "Print the address of the broker's debug console, for a browser",
    examples: ['console'],
    notes:
      "For administrators. The address has the console's token: everybody who has it sees what an administrator sees.",
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const url = await broker.openConsole({ signal })
      print({ url }, () => url)
    }),
  )
}

function describe({ changed, needsRestart }: Reloaded): string {
  if (changed.length === 0 && needsRestart.length === 0) return 'nothing has changed'
  return fields([
    ['in effect now', changed.join(', ') || 'nothing'],
    ['after a restart', needsRestart.join(', ') || undefined],
  ])
}
