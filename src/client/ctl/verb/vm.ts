import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Command } from 'commander'
import type { AllocationInfo } from '../../index'
import { findExecutable } from '../executable'
import { exitCode, Failure, UsageError } from '../exit'
import { type CellColor, count, fields, printable, size, table } from '../table'
import { Progress } from '../terminal/progress'
import { addNoun, addVerb } from '../verb'
import { type CommonOptions, interruptible, print, withBroker } from '../verb-context'
import { qemuArguments } from '../vm/command-line'
import { askRunner } from '../vm/control'
import { runtimeRoot, VmPlaces } from '../vm/places'
import { runVm } from '../vm/run'
import type { StopMode } from '../vm/schema'
import { defaultVmDirectory, lookUp, readVmFile, type VmSettings, vmDirectory, vmFile } from '../vm/settings'
import { surveyVms, type VmSurvey } from '../vm/survey'
import { userOf } from '../vm/user'

interface DirectoryOption {
  directory?: string
}

const directoryOption = [
  '--directory <path>',
  `folder of the VMs' files; default: $MEMBROKER_VM_DIRECTORY, or ${defaultVmDirectory}`,
] as const

const directoryOf = ({ directory }: DirectoryOption) => vmDirectory(directory)

/** The runner has deadlines of its own, and says meanwhile that it lives; this is for one that hangs. */
const patienceMs = 30_000

export function addVm(program: Command): void {
  const noun = addNoun(program, 'vm', 'Virtual machines, each from a file')
  addRun(noun)
  addVmList(noun)
  addStop(noun)
  addResume(noun)
  addUpgrade(noun)
  addCheck(noun)
}

function addRun(noun: Command): void {
  addVerb(noun, {
    usage: 'run <vm>',
    staysHere: 'the VM would end with the connection; start membroker-vm@.service there',
    summary: 'Run a VM: its guest goes on where it was saved, or boots',
    examples: ['vm run vm-42', 'vm run vm-42 --discard-state'],
    notes: `The VM is the file VM.toml in the folder of the VMs; see membroker-vm.toml(5). broker-ctl claims its memory, or makes it,
starts QEMU on it, and stays until QEMU has ended, with QEMU's exit code. Under systemd it reports when the guest runs.

SIGTERM stops the VM as on_stop in its file says. With "save" the guest's device state is kept beside its memory, so that the
next run goes on from there: after an update of QEMU, of broker-ctl, or by kexec of the whole host. What was saved is
used once. Where it is not whole, or its memory is gone, the guest boots.

While the broker can't read a range, broker-ctl makes no memory that may be there: it fails (RangeAway), unless the file
names other ranges.

When broker-ctl is killed, the kernel kills QEMU with it; the memory stays.`,
  })
    .option(...directoryOption)
    .option('--discard-state', 'boot, whatever was saved')
    .action(async (name: string, options: DirectoryOption & { discardState?: boolean }, command: Command) => {
      const { socket } = command.optsWithGlobals<CommonOptions>()
      const settings = readVmFile(vmFile(directoryOf(options), name))
      qemuOf(settings)
      process.exitCode = await runVm(settings, {
        socket,
        runtimeRoot: runtimeRoot(),
        discardState: options.discardState ?? false,
      })
    })
}

function addVmList(noun: Command): void {
  addVerb(noun, {
    usage: 'list',
    summary: 'The VMs that have a file, and how they stand',
    examples: ['vm list', 'vm list --json | jq -r \'.[] | select(.state == "failed") | .name\''],
    notes: `States: starting, running, upgrading, saving, stopping; prepared: paused and saved for an update of the host; paused: QEMU does not
let the guest go on, and "vm resume" tries again; saved: the next run goes on from there; stopped; failed; invalid: the file has a
mistake; unknown: a process has the VM's state claimed, and does not answer this user; away: the broker can't read a range that may have
its memory or what is saved of it, and a start fails until the range is back.`,
  })
    .option(...directoryOption)
    .action((options: DirectoryOption, command: Command) =>
      withBroker(command, async ({ broker, signal, print }) => {
        const allocations: AllocationInfo[] = []
        for await (const info of broker.list({ signal })) allocations.push(info)
        const vms = await surveyVms(
          directoryOf(options),
          runtimeRoot(),
          allocations,
          await broker.ranges({ signal }),
        )
        print(vms, () => (vms.length === 0 ? `no VM has a file in ${directoryOf(options)}` : vmTable(vms)))
      }),
    )
}

function addStop(noun: Command): void {
  addVerb(noun, {
    usage: 'stop <vm>',
    summary: 'Stop a VM as its file says, or as an option does',
    examples: ['vm stop vm-42', 'vm stop vm-42 --save'],
    notes: `Waits until the VM has stopped. Where it can't be saved it goes on running, or stays paused where QEMU does
not let it go on; the error says which, and why.`,
  })
    .option('--save', 'keep its device state, so that the next run goes on from there')
    .option('--powerdown', 'press its power button, and end it if it is not off in time')
    .option('--quit', 'pull the plug')
    .action(async (name: string, options: Partial<Record<StopMode, boolean>>, command: Command) => {
      const { json = false } = command.optsWithGlobals<CommonOptions>()
      const modes = (['save', 'powerdown', 'quit'] as const).filter(mode => options[mode])
      if (modes.length > 1) throw new UsageError(`--${modes[0]} and --${modes[1]} exclude each other`)
      const request = { ask: 'stop', how: modes[0] }
      const done = await askForChange<{ state: string; forced?: boolean }>(name, request, json)
      const forced = done.forced ? '; it did not switch itself off in time' : ''
      print(json, { name, ...done }, () => printable(`${name} is ${done.state}${forced}`))
    })
}

function addResume(noun: Command): void {
  addVerb(noun, {
    usage: 'resume <vm>',
    summary: 'Let a guest go on that stands still',
    examples: ['vm resume vm-42'],
    notes: `For a VM that "vm list" shows as paused: a save or an upgrade of it failed, and then QEMU did not let the guest go on, as where another
program had taken the lock of its disk. The reason is in "vm list". A guest that stands still after an error of its disk, or by an
order at a monitor, goes on too.`,
  }).action(async (name: string, _options, command: Command) => {
    const { json = false } = command.optsWithGlobals<CommonOptions>()
    const done = await askForChange<{ state: string }>(name, { ask: 'resume' }, json)
    print(json, { name, ...done }, () => printable(`${name} is ${done.state}`))
  })
}

interface UpgradeAnswer {
  readonly state: string
  readonly from: string
  readonly to: string
  readonly downtimeMs: number | null
  readonly changes: string[]
}

function addUpgrade(noun: Command): void {
  addVerb(noun, {
    usage: 'upgrade <vm>',
    summary: 'Put a newer QEMU, or options that the guest does not see, under a running guest',
    examples: [
      'vm upgrade vm-42',
      'vm upgrade vm-42 --qemu /opt/qemu/bin/qemu-system-x86_64',
      'vm upgrade vm-42 --dry-run',
    ],
    notes: `The runner reads the VM's file again, and starts its QEMU beside the one that runs, on the same memory. That one stops the guest
and sends its device state; the new one goes on with it, as the machine that it was. No memory is copied.

Until the new QEMU has the guest, any failure leaves it in the old one, where it goes on, or stays paused where that QEMU does
not let it go on; the error says which, and why. Options that the guest would see (memory, processors, devices) can't change
like this: the verb refuses, and names them.`,
  })
    .option(...directoryOption)
    .option('--qemu <program>', "instead of the file's: by path, or as found in PATH")
    .option('--dry-run', 'start the new QEMU and end it again; the guest stays where it is')
    .action(
      async (
        name: string,
        options: DirectoryOption & { qemu?: string; dryRun?: boolean },
        command: Command,
      ) => {
        const { json = false } = command.optsWithGlobals<CommonOptions>()
        const file = vmFile(directoryOf(options), name)
        const settings = readVmFile(file)
        const found = path.resolve(
          options.qemu === undefined ? qemuOf(settings) : findExecutable(options.qemu),
        )
        const qemu = options.qemu === undefined ? undefined : found
        const { dryRun = false } = options
        const request = { ask: 'upgrade', text: readFileSync(file, 'utf8'), qemu, dryRun }
        const { from, to, downtimeMs, ...done } = await askForChange<UpgradeAnswer>(name, request, json)
        print(json, { name, from, to, downtimeMs, ...done }, () => {
          if (dryRun) return printable(`${name} runs in QEMU ${from}; QEMU ${to} could take it`)
          const pause = downtimeMs === null ? '' : `; the guest stood still for ${downtimeMs.toFixed(1)} ms`
          return printable(`${name} runs in QEMU ${to}, before in ${from}${pause}`)
        })
      },
    )
}

/** Asks a VM's runner, and shows how far it is. @throws Failure NotRunning, or the runner's */
async function askForChange<T extends object>(name: string, request: object, json: boolean): Promise<T> {
  const progress = new Progress(!json)
  try {
    vmFile('', name)
    const done = await askRunner<T>(new VmPlaces(runtimeRoot(), name).control, request, {
      quietMs: patienceMs,
      signal: interruptible(),
      onProgress: text => progress.say(printable(text)),
    })
    if (!done) throw new Failure('NotRunning', `${name} does not run`, exitCode.refused)
    return done
  } finally {
    progress.end()
  }
}

function addCheck(noun: Command): void {
  addVerb(noun, {
    usage: 'check <file>',
    summary: "Check a VM's file, and show the command line that it makes; starts nothing",
    examples: ['vm check /etc/membroker/vm/vm-42.toml'],
    notes: `The name of the file is that of the VM. {map.path} and the like are filled in when QEMU is started.`,
  }).action((file: string, _options, command: Command) => {
    const { json = false } = command.optsWithGlobals<CommonOptions>()
    const settings = readVmFile(path.resolve(file))
    userOf(settings)
    const args = qemuArguments({ arguments: settings.arguments, memory: settings.memory, resumes: undefined })
    const qemu = qemuOf(settings)
    print(json, { ...settings, command: [qemu, ...args] }, () => description(settings, [qemu, ...args]))
  })
}

function qemuOf(settings: VmSettings): string {
  return lookUp(settings, ['vm', 'qemu'], () => findExecutable(settings.qemu))
}

function description(settings: VmSettings, command: readonly string[]): string {
  return [
    fields([
      ['vm', settings.name],
      ['user', settings.user ?? 'who starts it'],
      ...settings.memory.map(
        ({ allocation, bytes, range, node }) =>
          [
            'memory',
            `${allocation}: ${size(bytes)}${range ? ` of ${range}` : ''}${node === undefined ? '' : `, node ${node}`}`,
          ] as const,
      ),
      ...settings.taps.map(({ name, fd }) => ['tap', `${name}, as descriptor ${fd}`] as const),
      ['state', `${settings.state.allocation}: ${size(settings.state.bytes)}`],
      ['on stop', settings.onStop],
    ]),
    '',
    command.join(' '),
  ].join('\n')
}

const colors: Partial<Record<VmSurvey['state'], CellColor>> = {
  running: 'green',
  prepared: 'yellow',
  paused: 'yellow',
  failed: 'red',
  invalid: 'red',
  unknown: 'yellow',
  away: 'red',
}

function vmTable(vms: readonly VmSurvey[]): string {
  return table(vms, [
    { title: 'VM', cell: vm => vm.name },
    { title: 'STATE', cell: vm => vm.state, color: vm => colors[vm.state] },
    { title: 'PID', cell: vm => count(vm.pid), right: true },
    { title: 'QEMU', cell: vm => count(vm.qemuPid), right: true },
    { title: 'MEMORY', cell: vm => (vm.bytes === null ? '-' : size(vm.bytes)), right: true },
    { title: 'RANGE', cell: vm => [...new Set(vm.allocations.map(({ range }) => range))].join(',') || '-' },
    { title: 'ALLOCATIONS', cell: vm => vm.allocations.map(({ name }) => name).join(' ') || '-' },
    { title: 'REASON', cell: vm => vm.reason?.split('\n')[0] ?? '' },
  ])
}
