import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import type { Host } from './inside/host'
import type { Outside } from './outside'

/** What is done on one kernel. What it starts goes on when it has returned, until the next kexec. */
export interface Stage {
  readonly kind: 'stage'
  readonly title: string
  readonly run: (host: Host) => Promise<void>
}

/** Straight into another kernel: nothing is stopped, nothing is told. */
export interface Kexec {
  readonly kind: 'kexec'
  /** Label of the kernel; undefined: the one of --into, or the same again. */
  readonly into: string | undefined
  /** The stage before has loaded the kernel itself, with a command line of its own. */
  readonly loaded: boolean
  /** No filesystem is synced before. Otherwise kexec-tools sync all of them. */
  readonly abrupt: boolean
  /** Modules that the next kernel does not load. */
  readonly without: readonly string[]
}

/** What is done on a kernel, and replaces it: programs of the host do that, in order, with those of the lab among the rest. */
export interface Update {
  readonly kind: 'update'
  readonly title: string
  readonly run: (host: Host) => Promise<unknown>
}

export interface Scenario {
  /** One sentence: what is proved. */
  readonly title: string
  readonly steps: ReadonlyArray<Stage | Update | Kexec>
  /** It measures more than it proves, and takes its time: run when it is named only. */
  readonly report?: boolean
  /** For the whole of it, from the start of the machine. Default: minutesMaxDefault */
  readonly minutesMax?: number
  /** More arguments for the machine's QEMU. */
  readonly machine?: readonly string[]
  /** Guests that somebody outside of the machine talks to, by name: the machine has a network device for them. */
  readonly outside?: Outside
  /** More parameters of every kernel. */
  readonly parameters?: readonly string[]
  /**
   * Process 1 is the distribution's systemd, or that of a suite, on a root that is kept over kexec; its units run the steps.
   */
  readonly systemd?: boolean | string
  /** Label of the only kernel that it runs on. Default: the one of --kernel */
  readonly kernel?: string
  /** Begin on a host where nothing is reserved yet. */
  readonly unreserved?: boolean
}

/** Ten times what the longest takes on an idle machine: the bound is on hanging, not on speed. */
export const minutesMaxDefault = 30

/** For guests in the machine: between emulated processors that themselves run guests, interrupts have been lost. */
export const oneProcessor = ['-smp', '1'] as const

export function stage(title: string, run: Stage['run']): Stage {
  return { kind: 'stage', title, run }
}

export function update(title: string, run: Update['run']): Update {
  return { kind: 'update', title, run }
}

export function kexec(options: Partial<Omit<Kexec, 'kind'>> = {}): Kexec {
  const { into, loaded = false, abrupt = false, without = [] } = options
  return { kind: 'kexec', into, loaded, abrupt, without }
}

const folder = path.join(__dirname, 'scenario')

/** Names of all scenarios: the files of scenario/. */
export function scenarioNames(): string[] {
  return readdirSync(folder)
    .filter(file => /\.(js|ts)$/.test(file) && !file.endsWith('.d.ts'))
    .map(file => file.replace(/\.(js|ts)$/, ''))
    .sort()
}

/** Names of the scenarios that prove something: what runs when none is named. */
export function provingScenarioNames(): string[] {
  return scenarioNames().filter(name => !loadScenario(name).report)
}

/** @throws Error that names the scenarios there are */
export function loadScenario(name: string): Scenario {
  const file = ['js', 'ts'].map(extension => path.join(folder, `${name}.${extension}`)).find(existsSync)
  if (file === undefined)
    throw new Error(`there is no scenario ${JSON.stringify(name)}; there are ${scenarioNames().join(', ')}`)
  return (require(file) as { default: Scenario }).default
}
