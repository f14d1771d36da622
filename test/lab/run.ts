import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { bootFolder, type Lab } from './lab'
import { type MachineOptions, runMachine, runShell } from './machine'
import { Peers } from './outside'
import type { Progress } from './progress'
import { loadScenario, minutesMaxDefault, type Scenario } from './scenario'
import { Share, type StepResult } from './share'

interface RunOptions {
  /** Label of the kernel to begin with. */
  kernel: string
  /** Label of the kernel to go into where the scenario names none. Default: the same */
  into?: string | undefined
  /** Keep the run's folder also when all went well. */
  keep?: boolean | undefined
  signal: AbortSignal
}

/** What a run came to. */
export interface Report {
  scenario: string
  /** As uname -r says them, in the order they were run. */
  kernels: string[]
  good: boolean
  /** Why it is not good; one text for whoever has to find out. */
  failure?: string
  /** From the start of the machine to its end. */
  seconds: number
  steps: StepResult[]
  /** Console, logs and all else of the run, where it was kept. */
  folder?: string
}

const progressPollMs = 200
const consoleLinesShown = 25

/** Run a scenario from beginning to end, and clean up. */
export async function runScenario(
  lab: Lab,
  name: string,
  options: RunOptions,
  progress: Progress,
): Promise<Report> {
  const scenario = loadScenario(name)
  const kernel = scenario.kernel ?? options.kernel
  const into = scenario.kernel ?? options.into ?? kernel
  const files = await lab.runFiles(runName(name), {
    kernels: [kernel, ...labelsOf(scenario, into)],
    systemd: scenario.systemd,
  })
  const share = new Share(files.folder)
  share.state = { scenario: name, step: 0, kernel, into, memory: {} }
  const labels = new Set([kernel, ...labelsOf(scenario, into)])
  progress.say(`${name} on ${[...labels].join(' and ')}: ${scenario.title}`)
  const stopFollowing = follow(share.at('progress.log'), text => progress.say(text.trimEnd()))
  const consoleFile = share.at('console.log')
  appendFileSync(consoleFile, '')
  const from = performance.now()
  const peers = await Peers.of(scenario.outside ?? {})
  const machine = {
    ...{ qemu: lab.qemu, files },
    ...{ parameters: scenario.parameters ?? [] },
    machine: [...(scenario.machine ?? []), ...peers.machineArguments],
    unreserved: scenario.unreserved ?? false,
  }
  const secondsMax = (scenario.minutesMax ?? minutesMaxDefault) * 60
  peers.start(share)
  const end = await runMachine(machine, { secondsMax, consoleFile, signal: options.signal })
  peers.close()
  const seconds = (performance.now() - from) / 1000
  stopFollowing()
  const steps = share.results
  const failure = end.failure ?? failureOf(scenario, share)
  const report: Report = {
    ...{ scenario: name, good: failure === undefined, seconds, steps },
    kernels: [...new Set(steps.map(step => step.kernel))],
    ...(failure !== undefined && { failure: explain(failure, end.complaints, steps, consoleFile) }),
    ...((failure !== undefined || options.keep) && { folder: share.folder }),
  }
  rmSync(share.at(bootFolder), { recursive: true })
  if (report.folder === undefined) rmSync(share.folder, { recursive: true })
  return report
}

interface ShellOptions {
  /** Label of the kernel to boot. */
  kernel: string
  /** Labels of those that can be gone into from there. */
  kernels: readonly string[]
}

/** A machine with this terminal for its console. Returns an exit status. */
export function openShell(lab: Lab, options: ShellOptions): Promise<number> {
  return inFolder(lab, 'shell', options, machine =>
    runShell({ ...machine, parameters: ['lab.shell'] }, path.join(machine.files.folder, 'console.log')),
  )
}

/** Run a shell script in the lab, and print what it prints. Returns its exit status. */
export function runCommand(
  lab: Lab,
  script: string,
  options: ShellOptions & { signal: AbortSignal },
): Promise<number> {
  return inFolder(lab, 'command', options, async machine => {
    const share = new Share(machine.files.folder)
    writeFileSync(share.at('command'), script)
    const stopFollowing = follow(share.at('output'), line => process.stdout.write(line))
    const consoleFile = share.at('console.log')
    const limits = { secondsMax: minutesMaxDefault * 60, consoleFile, signal: options.signal }
    const end = await runMachine({ ...machine, parameters: ['lab.run'] }, limits)
    stopFollowing()
    if (end.failure === undefined && existsSync(share.at('status')))
      return Number(readFileSync(share.at('status'), 'utf8'))
    throw new Error(explain(end.failure ?? 'the machine went away', end.complaints, [], consoleFile))
  })
}

async function inFolder(
  lab: Lab,
  name: string,
  { kernel, kernels }: ShellOptions,
  use: (machine: MachineOptions) => Promise<number>,
): Promise<number> {
  const files = await lab.runFiles(runName(name), { kernels: [kernel, ...kernels] })
  try {
    return await use({ qemu: lab.qemu, files, parameters: [], machine: [] })
  } finally {
    rmSync(files.folder, { recursive: true })
  }
}

function runName(name: string): string {
  return `${name}-${new Date().toISOString().replaceAll(/[:.]/g, '')}-${process.pid}`
}

function labelsOf({ steps }: Scenario, into: string): string[] {
  return steps.flatMap(step =>
    step.kind === 'kexec' ? [step.into ?? into] : step.kind === 'update' ? [into] : [],
  )
}

/** Why the scenario is not done although the machine ended in order. */
function failureOf({ steps }: Scenario, share: Share): string | undefined {
  const failed = share.results.find(result => result.failure !== undefined)
  if (failed) return `${failed.title}: ${failed.failure}`
  const { step } = share.state
  const next = steps[step]
  if (!next) return undefined
  const title = next.kind === 'kexec' ? 'kexec' : next.title
  return `the machine went away in step ${step + 1} of ${steps.length}: ${title}`
}

function explain(
  failure: string,
  complaints: readonly string[],
  steps: readonly StepResult[],
  file: string,
): string {
  const more = steps.flatMap(step => (step.failure === undefined ? [] : [`${step.title}: ${step.failure}`]))
  const shown = complaints.length > 0 ? complaints : lastLines(file)
  const said = [failure, ...more.filter(text => text !== failure)].join('\n')
  return `${said}\nthe console${complaints.length > 0 ? ' from the first complaint' : ', its end'}:\n  ${shown.join('\n  ')}`
}

function lastLines(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-consoleLinesShown)
}

/** Tell whole lines that are written into a file; returns what ends it. */
function follow(file: string, take: (text: string) => void): () => void {
  let told = 0
  const tell = () => {
    if (!existsSync(file)) return
    const bytes = readFileSync(file).subarray(told)
    const end = bytes.lastIndexOf('\n')
    if (end < 0) return
    told += end + 1
    take(bytes.toString('utf8', 0, end + 1))
  }
  const timer = setInterval(tell, progressPollMs)
  return () => {
    clearInterval(timer)
    tell()
  }
}
