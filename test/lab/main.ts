/** `npm run lab`: boots stock kernels with reserved memory in QEMU, and runs scenarios or a shell there. */
import { Command } from 'commander'
import { defaultKernel, kernelChoice, kernelChoices } from './kernels'
import { Lab, LabUnavailable } from './lab'
import { Progress } from './progress'
import { openShell, type Report, runCommand, runScenario } from './run'
import { loadScenario, provingScenarioNames, scenarioNames } from './scenario'

const exit = { good: 0, failed: 1, usage: 2, unavailable: 3 } as const

interface Options {
  kernel: string
  into?: string
  shell?: boolean
  run?: string
  list?: boolean
  keep?: boolean
  json?: boolean
}

const kernels = kernelChoices.map(({ label }) => label).join(', ')

const program = new Command('npm run lab --')
  .description('Run scenarios on real kernels with reserved memory, in QEMU. Without a name: all of them.')
  .argument('[scenario...]', 'names, which --list shows; default: all but those that only measure')
  .option('-k, --kernel <version>', `the kernel to begin with: ${kernels}`, defaultKernel)
  .option(
    '-i, --into <version>',
    'the kernel to kexec into, where a scenario does not say (default: the same)',
  )
  .option('-s, --shell', 'instead, give a shell in the lab; "exit" or Ctrl-A X ends it')
  .option('-r, --run <script>', 'instead, run shell commands in the lab; the exit status is theirs')
  .option('-l, --list', 'only list the scenarios')
  .option('--keep', 'keep console and logs also of what went well')
  .option('--json', 'print a report on standard output')
  .addHelpText(
    'after',
    `
Kernels and tools come from the distribution's packages into .cache/lab; remove that folder to fetch them anew.

Exit codes: 0 all proved; 1 something failed; 2 bad usage; 3 this machine can't have the lab.

Examples:
  npm run lab -- memory-survives-kexec --into 7.2
  npm run lab -- --shell --kernel 6.12
  npm run lab -- --run 'membrokerd --version; uname -a'`,
  )
  .exitOverride(error => process.exit(error.exitCode === 0 ? exit.good : exit.usage))

function usage(check: () => unknown): void {
  try {
    check()
  } catch (error) {
    console.error(`lab: ${(error as Error).message}`)
    process.exit(exit.usage)
  }
}

function list(): void {
  for (const name of scenarioNames()) console.log(`${name.padEnd(32)} ${loadScenario(name).title}`)
}

function tell(report: Report, progress: Progress): void {
  const { scenario, good, seconds, kernels: ran, failure, folder } = report
  progress.say(`${scenario}: ${good ? 'good' : 'FAILED'} in ${seconds.toFixed(1)} s on ${ran.join(', ')}`)
  if (failure !== undefined) progress.say(failure)
  if (folder !== undefined) progress.say(`console and logs: ${folder}`)
}

async function main(): Promise<number> {
  program.parse()
  const options = program.opts<Options>()
  const names = program.args.length > 0 ? program.args : provingScenarioNames()
  usage(() => {
    for (const label of [options.kernel, options.into ?? options.kernel]) kernelChoice(label)
    for (const name of names) loadScenario(name)
  })
  if (options.list) {
    list()
    return exit.good
  }
  const progress = new Progress()
  const lab = await Lab.open(progress)
  const { kernel, into, keep } = options
  const shell = { kernel, kernels: into === undefined ? [] : [into] }
  if (options.shell) return openShell(lab, shell)

  const interrupted = new AbortController()
  const { signal } = interrupted
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort())
  if (options.run !== undefined) return runCommand(lab, options.run, { ...shell, signal })

  const reports: Report[] = []
  for (const name of names) {
    const report = await runScenario(lab, name, { kernel, into, keep, signal }, progress)
    reports.push(report)
    tell(report, progress)
    if (signal.aborted) break
  }
  if (options.json) console.log(JSON.stringify(reports, undefined, 2))
  return reports.length === names.length && reports.every(report => report.good) ? exit.good : exit.failed
}

main().then(
  code => process.exit(code),
  (error: Error) => {
    console.error(error instanceof LabUnavailable ? `lab: ${error.message}` : error.stack)
    process.exit(error instanceof LabUnavailable ? exit.unavailable : exit.failed)
  },
)
