import { defaultKernel } from './kernels'
import { Lab, LabUnavailable } from './lab'
import { Progress } from './progress'
import { runCommand, runScenario } from './run'
import { loadScenario, minutesMaxDefault, provingScenarioNames } from './scenario'

/** What a machine may take, and what making its kernel and files takes. */
const minutesMax = provingScenarioNames().map(name => loadScenario(name).minutesMax ?? minutesMaxDefault)
const timeoutMs = (Math.max(...minutesMax) + 10) * 60_000

describe(`the lab on kernel ${defaultKernel}`, () => {
  const progress = new Progress()
  const { signal } = new AbortController()
  let lab: Lab | undefined

  beforeAll(async () => {
    try {
      lab = await Lab.open(progress)
      await lab.kernel(defaultKernel)
    } catch (error) {
      lab = undefined
      if (!(error instanceof LabUnavailable) || process.env.CI) throw error
      process.stderr.write(`\nLEFT OUT: everything on real kernels and reserved memory. ${error.message}\n\n`)
    }
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

  test.each(provingScenarioNames())(
    '%s',
    async name => {
      if (!lab) return
      const report = await runScenario(lab, name, { kernel: defaultKernel, signal }, progress)
      progress.say(`${name}: ${report.good ? 'good' : 'FAILED'} in ${report.seconds.toFixed(1)} s`)
      if (!report.good) throw new Error(`${report.failure}\nconsole and logs: ${report.folder}`)
    },
    timeoutMs,
  )
})
