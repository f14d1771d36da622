import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { emulatedKernel } from '../guest/emulated-kernel'
import { complaintIn } from './console'
import type { RunFiles } from './lab'
import { reservingParameters } from './reserved'

export interface MachineOptions {
  qemu: string
  /** Its folder is what the machine sees as /lab. */
  files: RunFiles
  parameters: readonly string[]
  /** Without the ranges that its kernels otherwise reserve. */
  unreserved?: boolean
  /** More arguments for QEMU. */
  machine: readonly string[]
}

/** How a machine ended. */
interface MachineEnd {
  /** undefined: by itself, in order. */
  failure: string | undefined
  /** The kernel's complaints, and the lines that came after the first. */
  complaints: string[]
}

/** After a complaint: for the lines that explain it, before the machine is ended. */
const explainMs = 3000
const complaintLinesMax = 60

/** On a busy host RCU and the watchdogs take an emulated machine for a hanging one. */
const patience = [
  ...emulatedKernel,
  'rcupdate.rcu_cpu_stall_timeout=120',
  'watchdog_thresh=60',
  'sysctl.kernel.hung_task_timeout_secs=0',
]

/**
 * What costs an emulated processor most and proves nothing here: page tables of a fifth level, pages that are zeroed where
 * nobody asked, calls through thunks, and the kernel's tests of its own ciphers.
 */
const haste = ['no5lvl', 'init_on_alloc=0', 'mitigations=off', 'cryptomgr.notests']
/** Without erms the kernel and the C library copy by words: string instructions are emulated byte by byte. */
const processors = ['-cpu', 'max,-erms', '-smp', '2']

/** Without udev nobody says that a terminal is there. */
const rootParameters = ['root=/dev/vdc', 'systemd.getty_auto=no', 'systemd.show_status=no']

function qemuArguments(options: MachineOptions, serial: readonly string[]): string[] {
  const { files, parameters, machine } = options
  const { folder, image, initrd, disks, root } = files
  // 3 GiB and the pc machine: all of it lies below 4 GiB, around the reserved ranges.
  const hardware = ['-machine', 'pc', '-accel', 'tcg,thread=multi', ...processors, '-m', '3G']
  const reserving = options.unreserved ? [] : reservingParameters
  const always = [
    'console=ttyS0',
    'panic=1',
    ...patience,
    ...haste,
    ...reserving,
    ...(root === undefined ? [] : rootParameters),
  ]
  const quoted = (file: string) => file.replaceAll(',', ',,')
  return [
    ...hardware,
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', image, '-initrd', initrd, '-append', [...always, ...parameters].join(' ')],
    ...disks.flatMap(file => ['-drive', `file=${quoted(file)},if=virtio,format=raw,readonly=on`]),
    ...(root === undefined ? [] : ['-drive', `file=${quoted(root)},if=virtio,format=raw,snapshot=on`]),
    ...['-virtfs', `local,path=${quoted(folder)},mount_tag=lab,security_model=none,multidevs=remap`],
    ...['-device', 'edu'],
    ...['-object', 'memory-backend-ram,id=shared,size=1M', '-device', 'ivshmem-plain,memdev=shared'],
    ...serial,
    ...machine,
  ]
}

/**
 * Run a machine to its end: it powers off by itself, or its kernel complains, or time is up. Its console goes into a
 * file, each line with the seconds since the start. Nothing of it is left when this returns.
 */
export async function runMachine(
  options: MachineOptions,
  limits: { secondsMax: number; consoleFile: string; signal: AbortSignal },
): Promise<MachineEnd> {
  const child = start(options, ['-serial', 'stdio'], ['ignore', 'pipe', 'pipe'])
  const end: MachineEnd = { failure: undefined, complaints: [] }
  let words = ''
  const kill = (failure: string | undefined) => {
    end.failure ??= failure
    child.kill('SIGKILL')
  }
  const timer = setTimeout(() => kill(`not done after ${limits.secondsMax} s`), limits.secondsMax * 1000)
  const onAbort = () => kill('interrupted')
  limits.signal.addEventListener('abort', onAbort)
  let explaining: NodeJS.Timeout | undefined
  const from = performance.now()
  eachLine(child, line => {
    const seconds = ((performance.now() - from) / 1000).toFixed(1)
    appendFileSync(limits.consoleFile, `${seconds.padStart(6)} ${line}\n`)
    if (end.complaints.length === 0 && complaintIn(line) === undefined) return
    if (end.complaints.length < complaintLinesMax) end.complaints.push(line)
    explaining ??= setTimeout(() => kill('the kernel complains'), explainMs)
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    words += text
  })
  const [code, signal] = await ended(child)
  clearTimeout(timer)
  clearTimeout(explaining)
  limits.signal.removeEventListener('abort', onAbort)
  if (end.complaints.length > 0) end.failure ??= 'the kernel complains'
  if (code !== 0) end.failure ??= `QEMU ended (${signal ?? code}): ${words}`
  return end
}

/** The same machine with this terminal as its console. Ctrl-A X ends it. */
export async function runShell(options: MachineOptions, consoleFile: string): Promise<number> {
  const log = consoleFile.replaceAll(',', ',,')
  const serial = [
    ...['-chardev', `stdio,id=terminal,mux=on,signal=off,logfile=${log}`],
    ...['-serial', 'chardev:terminal', '-mon', 'chardev=terminal'],
  ]
  const [code] = await ended(start(options, serial, 'inherit'))
  return code ?? 1
}

/**
 * However this process ends, the machine ends with it: the kernel sends it SIGTERM then, after which QEMU also puts the
 * terminal right again.
 */
function start(options: MachineOptions, serial: readonly string[], stdio: StdioOptions): ChildProcess {
  const dying = ['--pdeathsig', 'TERM', '--', options.qemu]
  return spawn('setpriv', [...dying, ...qemuArguments(options, serial)], { stdio })
}

function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve([code, signal]))
  })
}

function eachLine(child: ChildProcess, take: (line: string) => void): void {
  let unfinished = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const lines = (unfinished + text).split('\n')
    unfinished = lines.pop()!
    for (const line of lines) take(line.replaceAll('\r', ''))
  })
}
