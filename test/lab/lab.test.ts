/** Proves that the scenarios pass on the default kernel, in QEMU. */
import { existsSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { builtKernelFolder } from './kernel-build'
import { defaultKernel } from './kernels'
import { Lab, LabUnavailable } from './lab'
import { Pool } from './pool'
import { Progress } from './progress'
import { type Report, runCommand, runScenario } from './run'
import { loadScenario, minutesMaxDefault, provingScenarioNames } from './scenario'

/** A kernel that must be built first takes long: here only what is built already, in CI all. */
const builds = process.env.CI !== undefined || existsSync(builtKernelFolder())
const all = provingScenarioNames()
const names = all.filter(name => builds || loadScenario(name).kernel === undefined)
const leftOut = all.filter(name => !names.includes(name))
/** What a machine may take, and what making its kernel and files takes. */
const minutesMax = names.map(name => loadScenario(name).minutesMax ?? minutesMaxDefault)
/** A machine is at one thing most of the time, and keeps one core busy. */
const atOnce = Math.max(1, Math.min(2, availableParallelism()))
const timeoutMs = (Math.max(...minutesMax) + 10) * 60_000

describe(`the lab on kernel ${defaultKernel}`, () => {
  const progress = new Progress()
  const unwanted = new AbortController()
  const { signal } = unwanted
  let lab: Lab | undefined
  const wanted = new Set<string>()
  const pool = new Pool(names, atOnce, run)

  function run(name: string): Promise<Report> {
    const told = new Progress(line => void process.stderr.write(`${name.padEnd(24)} ${line}\n`))
    return runScenario(lab!, name, { kernel: defaultKernel, signal }, told)
  }

  beforeAll(async () => {
    if (leftOut.length > 0)
      process.stderr.write(
        `\nLEFT OUT: ${leftOut.join(', ')}: the lab has not built its own kernel yet. ` +
          `'npm run lab -- ${leftOut[0]}' builds it once, in some five minutes of two processors.\n\n`,
      )
    try {
      lab = await Lab.open(progress)
      await lab.kernel(defaultKernel)
    } catch (error) {
      lab = undefined
      if (!(error instanceof LabUnavailable) || process.env.CI) throw error
      process.stderr.write(`\nLEFT OUT: everything on real kernels and reserved memory. ${error.message}\n\n`)
    }
  }, timeoutMs)

  // Where only some of the tests are run, the others' machines may have been begun.
  afterAll(async () => {
    unwanted.abort()
    for (const report of await pool.stop())
      if (report.folder !== undefined && !wanted.has(report.scenario))
        rmSync(report.folder, { recursive: true })
  }, timeoutMs)

  // What fails must be seen to fail, or the rest proves nothing.
  test(
    'a kernel that dies is a failure, with its own words',
    async () => {
      if (!lab) return
      const script = 'echo c >/proc/sysrq-trigger'
      const dying = runCommand(lab, script, { kernel: defaultKernel, kernels: [], signal })
      await expect(dying).rejects.toThrow(/the kernel complains.*Kernel panic - not syncing: sysrq/s)
    },
    timeoutMs,
  )

  test.each(names)(
    '%s',
    async name => {
      if (!lab) return
      wanted.add(name)
      const report = await pool.result(name)
      progress.say(`${name}: ${report.good ? 'good' : 'FAILED'} in ${report.seconds.toFixed(1)} s`)
      if (!report.good) throw new Error(`${report.failure}\nconsole and logs: ${report.folder}`)
    },
    timeoutMs,
  )
})
