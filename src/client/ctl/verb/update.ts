import type { Command } from 'commander'
import type { Participant, Update } from '../../index'
import { withBroker } from '../session'
import { count, fields, table, time } from '../table'
import { addVerb } from '../verb'

const nothing = 'no update is under way'

export function addUpdate(program: Command): void {
  const noun = program.command('update').description('Live updates of the host, and who takes part')
  addVerb(noun, {
    usage: 'status',
    summary: 'The update under way, and its participants',
    examples: ['update status', 'update status --json | jq \'.participants[] | select(.state == "late")\''],
    notes: `Participants are processes that pause and save before the kernel is replaced. An administrator sees all, others
those of their uid. Only those are waited for whose user is an administrator or has allocations.`,
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const { update, participants } = await broker.update({ signal })
      print({ update: update ?? null, participants }, () =>
        [update ? describe(update) : nothing, rows(participants)].filter(part => part !== '').join('\n\n'),
      )
    }),
  )
  addVerb(noun, {
    usage: 'cancel',
    summary: 'Call the update off; everybody goes on',
    examples: ['update cancel', "update cancel --reason 'the new kernel was not loaded'"],
    notes: 'For administrators.',
  })
    .option('--reason <text>', 'told to the participants')
    .action(({ reason }: { reason?: string }, command: Command) =>
      withBroker(command, async ({ broker, signal, print }) => {
        const { update } = await broker.update({ signal })
        if (update) await broker.cancelUpdate(update.id, { reason, signal })
        print({ cancelled: update?.id ?? null }, () => (update ? 'the update is called off' : nothing))
      }),
    )
}

function describe(update: Update): string {
  return fields([
    ['update', `${update.id}: ${update.reason}`],
    ['state', update.state],
    ['begun', `${time(update.begunAt)} by uid ${update.uid}`],
    ['deadline', time(update.deadline)],
    ['ready', `${update.ready}; ${update.waiting} asked, ${update.failed} failed`],
  ])
}

function rows(participants: readonly Participant[]): string {
  if (participants.length === 0) return ''
  return table(participants, [
    { title: 'PARTICIPANT', cell: row => row.name },
    { title: 'UID', cell: row => count(row.uid), right: true },
    { title: 'PID', cell: row => count(row.pid), right: true },
    {
      title: 'STATE',
      cell: row => (row.waitedFor ? row.state : `${row.state}, not waited for`),
      color: row => (['failed', 'late', 'left'].includes(row.state) ? 'yellow' : undefined),
    },
    { title: 'DETAIL', cell: row => row.detail ?? '' },
  ])
}
