import { existsSync } from 'node:fs'
import path from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { updateDeadlineMsMax, updateWithinMs, updateWithinMsMax } from '../../../../protocol/wire/limits'
import type { Participant, Update } from '../../index'
import { chooseSocket } from '../../socket-path'
import { wholeArgument } from '../arguments'
import { findExecutable } from '../executable'
import { exitCode, Failure, UsageError } from '../exit'
import { defaultConfiguration } from '../host/configured-range'
import { HostFiles } from '../host/host-files'
import { findKernel, loadedLine } from '../host/kernel-image'
import {
  type CommandLineOptions,
  checkNextKernel,
  describeCheck,
  nextCommandLine,
  weighed,
} from '../host/next-kernel'
import { count, fields, table, time } from '../table'
import { Ignored, type Named } from '../update/ignored'
import { asksSystemd, leadUpdate, stopWithinMsMax } from '../update/lead'
import { UpdateLines } from '../update/lines'
import { planData, planText, risksText } from '../update/plan'
import { reportData, reportText } from '../update/report'
import { whyStopLoses } from '../update/stopped-store'
import { surveyHost } from '../update/survey'
import { addVerb } from '../verb'
import { type CommonOptions, withBroker } from '../verb-context'

const nothing = 'no update is under way'

export function addUpdate(program: Command): void {
  const verb = addLead(program)
  addVerb(verb, {
    usage: 'status',
    summary: 'The update under way, and its participants',
    examples: ['update status', 'update status --json | jq \'.participants[] | select(.state == "late")\''],
    notes: `Participants are processes that pause and save before the kernel is replaced. An administrator sees all, others
those of their uid. An update waits only for those whose user is an administrator or has allocations; while the broker can't
read a range, for all.`,
  }).action((_options, command: Command) =>
    withBroker(command, async ({ broker, signal, print }) => {
      const { update, participants } = await broker.update({ signal })
      print({ update: update ?? null, participants }, () =>
        [update ? describe(update) : nothing, rows(participants)].filter(part => part !== '').join('\n\n'),
      )
    }),
  )
  addVerb(verb, {
    usage: 'cancel',
    summary: 'Call the update off; everybody goes on',
    examples: ['update cancel', "update cancel --reason 'the new kernel was not loaded'"],
    notes: 'For administrators.',
  })
    .option('--reason <text>', 'text for the participants')
    .action(({ reason }: { reason?: string }, command: Command) =>
      withBroker(command, async ({ broker, signal, print }) => {
        const { update } = await broker.update({ signal })
        if (update) await broker.cancelUpdate(update.id, { reason, signal })
        print({ cancelled: update?.id ?? null }, () => (update ? 'the update is called off' : nothing))
      }),
    )
  addReport(verb)
}

interface LeadVerbOptions extends CommandLineOptions {
  kernel?: string
  initrd?: string
  loaded?: boolean
  sameFormat?: boolean
  config?: string
  reason?: string
  deadline: number
  within: number
  stopWithin: number
  go?: string
  ignore?: string[]
  digests?: boolean
  dryRun?: boolean
}

/** A broker that is restarted in the middle is back by then. */
const brokerBackMs = 30_000
const namesMax = 8
const loadedFile = '/sys/kernel/kexec_loaded'

function addLead(program: Command): Command {
  const verb = addVerb(program, {
    usage: 'update',
    summary: 'Replace the kernel under all VMs; show updates, and call them off',
    examples: [
      'update --dry-run --kernel 6.12.60-1',
      'update --kernel 6.12.60-1',
      'update --kernel /boot/vmlinuz-6.12.60 --initrd /boot/initrd.img-6.12.60 --reuse-cmdline --append "quiet"',
      "update --ignore 'db/*' --go 'kexec -e'",
      'update report',
    ],
    notes: `In this order: the checks of preflight, kexec -s -l, all participants pause and save, freeze, and then the kernel. If
anything fails before that, everybody goes on, the freeze ends, the kernel is unloaded, and the error says so. When this
command is killed or stopped, the broker does the same after 10 seconds, but for the kernel, which stays loaded: kexec -u
unloads it.

Participants are VMs of broker-ctl vm, and programs that take part by the library. The update is refused while a process
holds memory and takes no part, where memory does not outlive the kernel, and while the broker can't read a range, as nobody
knows who has memory there. --ignore PATTERN lets allocations and participants of these names lose what they have not saved, and
--ignore range:NAME whoever has memory in that range and takes no part. Participants choose their names: where several users
have one of the same name, write UID:NAME.

Without --kernel, the kernel is the one that kexec has loaded already; give its command line by --append for the checks.
By default the next command line is the running one.

Memory that the kernel itself preserves (ranges with preserve) goes only to a kernel that kexec -s has loaded and that has
the same format, which kernels promise for no other release. So the update is refused where the next kernel has another
release, and without --kernel. --same-format and --loaded vouch for what nobody can see. A range without such memory only
makes warnings. To give this memory up, take preserve out of the configuration first, and restart the broker.`,
  })
  return verb
    .option('--kernel <file>', 'the next kernel: its release, or its file')
    .option(
      '--initrd <file>',
      "default: the kernel's own, beside it or in /boot; 'none' for a kernel that needs none",
    )
    .option('--loaded', 'use the kernel that is loaded, and vouch that kexec -s has loaded it, not kexec -c')
    .option('--same-format', 'vouch that the next kernel, of another release, reads what this one preserves')
    .option('--append <line>', "the next kernel's command line")
    .option('--reuse-cmdline', "the running kernel's command line, with --append behind it")
    .option('-c, --config <file>', `the broker's configuration; default: ${defaultConfiguration}`)
    .option('--reason <text>', 'text for the participants and the report; default: the kernel')
    .option(
      '--deadline <ms>',
      'time for the participants, in milliseconds',
      msArgument(updateDeadlineMsMax),
      120_000,
    )
    .option(
      '--within <ms>',
      'time for the kernel to be replaced, in milliseconds',
      msArgument(updateWithinMsMax),
      updateWithinMs,
    )
    .option(
      '--stop-within <ms>',
      'time for systemd to stop services first, where systemctl replaces the kernel, in milliseconds',
      msArgument(stopWithinMsMax),
      600_000,
    )
    .option(
      '--go <command>',
      "command that replaces the kernel; default: 'systemctl kexec' under systemd, else 'kexec -e'",
    )
    .option(
      '--ignore <pattern>',
      'go on without these participants and allocations (NAME or UID:NAME, * matches any text), or a range that is unreadable (range:NAME); what they have not saved is lost; may be repeated',
      (pattern: string, before: string[] = []) => [...before, pattern],
    )
    .option('--digests', 'record digests of all memory, for verify; participants are paused for longer')
    .option('--dry-run', 'only check, and say who would be asked and how long it took the last time')
    .usage('[options] [verb]')
    .commandsGroup('Verbs:')
    .action((options: LeadVerbOptions, command: Command) => lead(options, command))
}

async function lead(options: LeadVerbOptions, command: Command): Promise<void> {
  const kernel = options.kernel === undefined ? undefined : findKernel(options.kernel, options.initrd)
  const hasNextKernel = () => new HostFiles().text(loadedFile) === '1'
  if (kernel && options.loaded)
    throw new UsageError('--kernel loads a kernel, and --loaded goes by another one')
  const isLoaded = kernel === undefined && hasNextKernel()
  if (!kernel && !isLoaded && !options.dryRun)
    throw new UsageError('no kernel is loaded: name one by --kernel, or load one by kexec -s -l')
  const go = options.go?.split(/\s+/).filter(word => word !== '') ?? defaultGo()
  if (go[0] === undefined) throw new UsageError('--go names no command')
  // Nobody is paused for a kernel that can't go.
  if (options.go !== undefined) findExecutable(go[0])
  const { socket = chooseSocket().path } = command.optsWithGlobals<CommonOptions>()
  const commandLine = nextCommandLine(options)
  const unknown = { options: undefined, modules: undefined }
  const configured = await checkNextKernel(
    commandLine,
    kernel?.build ?? unknown,
    { isLoaded, byFile: options.loaded, sameFormat: options.sameFormat },
    options.config,
  )
  await withBroker(
    command,
    async ({ broker, signal, json, print, progress }) => {
      const ignored = new Ignored(options.ignore ?? [])
      const stopLoses = asksSystemd(go) ? () => whyStopLoses(broker, signal) : undefined
      const survey = await surveyHost(broker, stopLoses, signal)
      const check = weighed(configured, survey.withoutPreserved)
      const ambiguous = ignored.ambiguous(survey.participants)
      if (ambiguous.length > 0)
        throw new Failure('Ambiguous', `${ambiguousText(ambiguous)}; nothing has begun`, exitCode.refused)
      const risks = ignored.rest(survey.risks)
      if (options.dryRun) {
        const last = await broker.updateReport({ signal })
        const plan = { check, kernel, ...survey, risks, last }
        process.exitCode = check.good
          ? risks.length > 0
            ? exitCode.refused
            : exitCode.good
          : exitCode.unsafe
        print(planData(plan), () => planText(plan))
        return
      }
      const lines = new UpdateLines(!json)
      for (const line of describeCheck(check)) lines.step('preflight', line)
      if (!check.good)
        throw new Failure('Unsafe', 'the next kernel would lose a range; nothing has begun', exitCode.unsafe)
      if (risks.length > 0)
        throw new Failure('NotSaved', `${risksText(risks)}; nothing has begun`, exitCode.refused)
      const reason = options.reason ?? (kernel ? path.basename(kernel.image) : 'live update')
      await leadUpdate(
        {
          reason,
          deadlineMs: options.deadline,
          withinMs: options.within,
          stopWithinMs: options.stopWithin,
          digests: options.digests === true,
          kernel,
          commandLine: loadedLine(commandLine),
          go,
          hasNextKernel,
          ignored,
          stopLoses,
          check: configured,
          lockFile: path.join(path.dirname(socket), 'update.lock'),
        },
        {
          broker,
          signal,
          lines,
          progress,
          ready: (update, { participants }) => {
            const { image = null, initrd = null } = kernel ?? {}
            const ready = { update, reason, kernel: image, initrd, commandLine, participants, go }
            if (json) lines.write(`${JSON.stringify(ready)}\n`)
          },
        },
      ).finally(() => lines.end())
    },
    brokerBackMs,
  )
}

function ambiguousText(participants: readonly Named[]): string {
  const named = participants.slice(0, namesMax).map(({ uid, name }) => `${uid}:${name}`)
  const more = participants.length > named.length ? ', ...' : ''
  return `--ignore names participants of several users: write which of ${named.join(', ')}${more} is meant`
}

function msArgument(max: number): (text: string) => number {
  return text => {
    const ms = wholeArgument(text)
    if (ms < 1 || ms > max) throw new InvalidArgumentError(`Write milliseconds, from 1 to ${max}`)
    return ms
  }
}

function defaultGo(): string[] {
  return existsSync('/run/systemd/system') ? ['systemctl', 'kexec'] : ['kexec', '-e']
}

function addReport(noun: Command): void {
  addVerb(noun, {
    usage: 'report',
    summary: 'The last update: how long each phase and each participant took, and who is not back',
    examples: ['update report', 'update report --json | jq .phases', 'update report --forget'],
    notes: `The table keeps the report over the boot, until the next update begins. Participants add their times when they run again.
Users who are no administrators see the participants of their own uid. Version 0.1.0 of membroker can't read a table with a
report: before you go back to it, use --forget, and restart the broker.`,
  })
    .option('--forget', 'remove the report')
    .action(({ forget }: { forget?: boolean }, command: Command) =>
      withBroker(command, async ({ broker, signal, print }) => {
        if (forget) {
          await broker.forgetUpdateReport({ signal })
          print({ forgotten: true }, () => 'the report is removed')
          return
        }
        const { participants: present } = await broker.update({ signal })
        const report = { ...(await broker.updateReport({ signal })), present }
        print(reportData(report), () => reportText(report))
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
