/** Runs a scenario's steps inside the lab, from where the kernel before left off. Started by init.sh on every kernel. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Kexec, loadScenario, type Stage, type Update } from '../scenario'
import { Share } from '../share'
import { Host } from './host'

const share = new Share('/lab')
/** For init.sh. */
const withoutParameter = 'lab.without='
/** Bounds on hanging. */
const updateMsMax = 600_000
const endedMsMax = 30_000

async function main(): Promise<void> {
  const { steps } = loadScenario(share.state.scenario)
  while (share.state.step < steps.length) {
    const { step } = share.state
    const next = steps[step]!
    const done =
      next.kind === 'stage'
        ? await runStage(next, step)
        : next.kind === 'update'
          ? await runUpdate(next, step)
          : leave(next, step)
    if (!done) return
  }
}

/** Returns whether it went well. */
async function runStage(stage: Stage, step: number): Promise<boolean> {
  const { state } = share
  const host = new Host(share, state.memory)
  share.say(`  ${stage.title}`)
  const from = performance.now()
  const failure = await stage.run(host).then(
    () => undefined,
    (error: Error) => error.stack ?? String(error),
  )
  const seconds = (performance.now() - from) / 1000
  keepLogs(step)
  share.addResult({
    ...{ step, title: stage.title, kernel: release(), seconds, figures: host.figures },
    ...(failure !== undefined && { failure }),
  })
  if (failure !== undefined) return false
  share.state = { ...state, step: step + 1 }
  return true
}

/** Where systemd runs, its journal has the kernel's messages too. */
function keepLogs(step: number): void {
  const [file, ...args] = existsSync('/run/systemd/system')
    ? ['journalctl', '-b', '-o', 'short-precise', '--no-pager']
    : ['dmesg']
  writeFileSync(share.at(`${file}-${step}.txt`), spawnSync(file!, args, { maxBuffer: 2 ** 26 }).stdout)
}

/** Returns only when it failed: the host's programs replace the kernel, and end this one before. */
async function runUpdate({ title, run }: Update, step: number): Promise<false> {
  const { state } = share
  const host = new Host(share, state.memory)
  share.say(`  ${title}`)
  const from = performance.now()
  const end = (failure?: string) => {
    const seconds = (performance.now() - from) / 1000
    share.addResult({ step, title, kernel: release(), seconds, figures: host.figures, failure })
    share.state = failure === undefined ? next : state
  }
  const next = { ...state, step: step + 1, kernel: state.into }
  process.once('SIGTERM', () => {
    end()
    process.exit(0)
  })
  const failure = await run(host).then(
    () => undefined,
    (error: Error) => error.stack ?? String(error),
  )
  // A program that this one waits for is ended at the same time.
  await sleep(failure === undefined ? updateMsMax : endedMsMax)
  end(failure ?? 'the kernel was not replaced')
  return false
}

/** Returns only when it failed. */
function leave({ into = share.state.into, loaded, abrupt, without }: Kexec, step: number): false {
  const from = performance.now()
  const title = `kexec into ${into}`
  share.say(`  ${title}`)
  const parameters = [
    ...readFileSync('/proc/cmdline', 'utf8')
      .trim()
      .split(' ')
      .filter(word => !word.startsWith(withoutParameter)),
    ...(without.length > 0 ? [withoutParameter + without.join(',')] : []),
  ].join(' ')
  const files = [`/lab/kernel/${into}/vmlinuz`, `--initrd=/lab/kernel/${into}/initrd`]
  const { state } = share
  const failed = loaded ? undefined : kexecTool('-s', '-l', ...files, `--command-line=${parameters}`)
  const seconds = (performance.now() - from) / 1000
  share.addResult({
    ...{ step, title, kernel: release(), seconds, figures: {} },
    ...(failed !== undefined && { failure: failed }),
  })
  if (failed !== undefined) return false
  share.state = { ...state, step: step + 1, kernel: into }
  share.addResult({
    step,
    title,
    kernel: release(),
    seconds: 0,
    figures: {},
    failure: kexecTool('-e', ...(abrupt ? ['--no-sync'] : [])) ?? 'it returned',
  })
  return false
}

/** What it complained of when it failed. */
function kexecTool(...args: string[]): string | undefined {
  const { status, signal, stderr, error } = spawnSync('kexec', args, { encoding: 'utf8' })
  return status === 0 ? undefined : `kexec ${args[0]}: ${error?.message ?? signal ?? status}\n${stderr}`
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    share.say(`  the lab itself failed: ${error.stack}`)
    process.exit(1)
  },
)
