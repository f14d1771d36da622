import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildProgram } from '../guest/build'
import { type GuestFiles, guestFiles } from '../guest/linux/files'
import { type LinuxGuest, linuxArguments, makeDisk, vmFile } from '../guest/linux/machine'
import { requireQemu } from '../guest/require-qemu'
import { Progress } from '../lab/progress'
import { attemptNow, run } from '../support/child'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'
import { newestQemu } from '../vm/newest-qemu'
import { type Run, Scene } from '../vm/scene'
import { percentile } from './percentile'

const ramBytes = 2 ** 30
/** A page of the guest's memory that its kernel leaves alone, and the guest's count of ticks is in. */
const ticksAddress = 0x2000_0000
const tickUs = 250
const loads = { idle: [], busy: ['guest.dirty_mib=768'] } as const
const settleMs = 500
/** A bound on hanging. An emulated guest seldom hangs while it boots; another boot has nothing to do with the upgrade. */
const bootMs = 60_000
const bootsMax = 3
const vm = 'vm-1'

/** Ways for a guest to pass to another QEMU. */
type Way = 'membroker' | 'script' | 'cpr'
type Load = keyof typeof loads

export interface Pauses {
  /** Milliseconds for which the guest stood still. */
  readonly median: number
  readonly least: number
  readonly most: number
}

/** How long the upgrade of a QEMU keeps a guest of 1 GiB from running. */
export interface UpgradeCost {
  readonly qemu: string
  readonly load: Load
  /** Upgrades of each way. */
  readonly upgrades: number
  readonly ways: Readonly<Partial<Record<Way, Pauses>>>
  /** The same guests while nothing happens. */
  readonly undisturbed: Pauses
}

/** A guest under TCG that ticks, and passes from one QEMU to another. */
interface Passing {
  /** Throws when it can't become ready any more. */
  isReady(): boolean
  /** What its QEMU and it have said. */
  said(): string
  memory(): Promise<string>
  upgrade(): Promise<void>
  close(): Promise<void>
}

/**
 * Guests of all ways take turns.
 * @param blocks boots of each way
 * @param perBlock upgrades of each boot
 */
export async function measureUpgrades(
  blocks: number,
  perBlock: number,
  progress: (text: string) => void,
): Promise<UpgradeCost[]> {
  const folder = mkdtempSync('/tmp/mbu-')
  try {
    const own = requireQemu()
    if (own === undefined) throw new Error('QEMU is missing')
    const files = await guestFiles(new Progress())
    const newest = await newestQemu(folder)
    await shareProcessors()
    const costs: UpgradeCost[] = []
    for (const [qemu, ways] of [
      [own, ['membroker', 'script']],
      [newest, ['membroker', 'script', 'cpr']],
    ] as Array<[string | undefined, Way[]]>) {
      if (qemu === undefined) continue
      const version = /version (\S+)/.exec(attemptNow(qemu, ['--version']).stdout)?.[1] ?? qemu
      const pinned = path.join(folder, `qemu-${version}`)
      writeFileSync(pinned, launcher(qemu), { mode: 0o755 })
      for (const load of Object.keys(loads) as Load[])
        costs.push(
          await measure({ qemu: pinned, version, files, folder, load, progress }, ways, blocks, perBlock),
        )
    }
    return costs
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The processor of all QEMUs. */
const guestProcessor = availableParallelism() - 1

/**
 * QEMU's emulation takes a processor as a guest's own does. Everything else, of every way, gets the others: so what a program costs
 * beside the guest is no gap of the guest's, as on a host with a processor for each.
 */
async function shareProcessors(): Promise<void> {
  if (guestProcessor === 0) throw new Error('it takes two processors')
  await run('taskset', ['-a', '-c', '-p', `0-${guestProcessor - 1}`, String(process.pid)])
}

/** Starts a QEMU on its processor. Where the kernel allows it, other programs of the machine do not delay it there. */
function launcher(qemu: string): string {
  return `#!/bin/sh
{ echo -20 >/proc/$$/autogroup; } 2>/dev/null
exec nice -n -20 taskset -c ${guestProcessor} ${qemu} "$@"
`
}

interface Setting {
  readonly qemu: string
  readonly version: string
  readonly files: GuestFiles
  readonly folder: string
  readonly load: Load
  readonly progress: (text: string) => void
}

async function measure(
  setting: Setting,
  ways: readonly Way[],
  blocks: number,
  perBlock: number,
): Promise<UpgradeCost> {
  const { version: qemu, load, progress } = setting
  const pauses = new Map<Way, number[]>(ways.map(way => [way, []]))
  const undisturbed: number[] = []
  for (let block = 0; block < blocks; block++)
    for (const way of ways) {
      const told = `QEMU ${qemu}, ${load} guest, ${way}, ${block + 1} of ${blocks}`
      const guest = await boot(setting, way, told)
      const gap = new TickGap(await guest.memory())
      try {
        await sleep(settleMs)
        for (let index = 0; index < perBlock; index++) {
          await gap.longestMs()
          await sleep(settleMs)
          const before = await gap.longestMs()
          await guest.upgrade()
          await sleep(settleMs)
          const pause = await gap.longestMs()
          undisturbed.push(before)
          pauses.get(way)!.push(pause)
          progress(`${told}: ${pause.toFixed(1)} ms, undisturbed ${before.toFixed(1)}`)
        }
      } finally {
        await gap.close()
        await guest.close()
      }
    }
  return {
    ...{ qemu, load, upgrades: blocks * perBlock, undisturbed: summary(undisturbed) },
    ways: Object.fromEntries([...pauses].map(([way, times]) => [way, summary(times)])),
  }
}

async function boot(setting: Setting, way: Way, told: string): Promise<Passing> {
  for (let boots = 1; ; boots++) {
    const guest = await (way === 'membroker' ? startVm(setting) : startScript(setting, way))
    try {
      await until(() => guest.isReady(), 'the guest is ready', bootMs)
      return guest
    } catch (error) {
      const said = guest.said().slice(-2000)
      await guest.close()
      setting.progress(`${told}: boot ${boots}: ${(error as Error).message}; it said:\n${said}`)
      if (boots === bootsMax) throw error
    }
  }
}

function summary(times: readonly number[]): Pauses {
  return { median: percentile(times, 50), least: Math.min(...times), most: Math.max(...times) }
}

function guestOf({ files, folder, load }: Setting): LinuxGuest {
  const parameters = [
    `memmap=64K$0x${ticksAddress.toString(16)}`,
    ...[`guest.ticks=0x${ticksAddress.toString(16)}`, `guest.tick_us=${tickUs}`, ...loads[load]],
  ]
  return { files, disk: path.join(folder, 'disk'), accelerator: 'tcg', parameters }
}

async function startVm(setting: Setting): Promise<Passing> {
  await makeDisk(path.join(setting.folder, 'disk'))
  const scene = await Scene.open({ bytes: 2 * ramBytes, logLevel: 'info' })
  const { qemu } = setting
  writeFileSync(path.join(scene.directory, `${vm}.toml`), vmFile(guestOf(setting), { qemu, ramBytes }))
  const run: Run = scene.run(vm)
  return {
    isReady: () => isReady(run.stdout, run.ended),
    said: () => `${run.stderr}\n${run.stdout}`,
    memory: () => scene.file(`${vm}/ram`),
    upgrade: async () => {
      const { code, stderr } = await scene.ctl('vm', 'upgrade', vm)
      if (code !== 0) throw new Error(stderr)
    },
    close: () => scene.dispose(),
  }
}

async function startScript(setting: Setting, way: Exclude<Way, 'membroker'>): Promise<Passing> {
  await makeDisk(path.join(setting.folder, 'disk'))
  const memory = path.join('/dev/shm', path.basename(setting.folder))
  writeFileSync(memory, '')
  truncateSync(memory, ramBytes)
  const script = path.join(packageRoot, 'test/bench/upgrade-floor.sh')
  const mode = way === 'cpr' ? 'cpr' : 'shared'
  const args = [script, mode, memory, String(ramBytes), setting.qemu, ...linuxArguments(guestOf(setting))]
  const child = spawn('bash', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const over = () => child.exitCode !== null || child.signalCode !== null
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    isReady: () => isReady(said, over()),
    said: () => said,
    memory: async () => memory,
    upgrade: async () => {
      child.stdin.write('\n')
      if ((await answers.next()).done) throw new Error(`the script ended: ${said}`)
    },
    close: async () => {
      child.stdin.end()
      if (!over()) await once(child, 'exit')
      rmSync(memory)
    },
  }
}

function isReady(said: string, over: boolean): boolean {
  if (over) throw new Error('QEMU has ended')
  return said.includes('guest: ready')
}

/** Looks at the guest's ticks from outside. */
class TickGap {
  private readonly child: ChildProcess
  private readonly answers: AsyncIterator<string>

  constructor(memory: string) {
    const program = buildProgram('test/bench/tick_gap.c')
    if (program === undefined) throw new Error('looking at the ticks needs a C compiler')
    const args = [memory, String(ticksAddress), String(tickUs)]
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.answers = createInterface(this.child.stdout!)[Symbol.asyncIterator]()
  }

  /** The longest time without a tick since it was asked for last. */
  async longestMs(): Promise<number> {
    this.child.stdin!.write('.')
    const { value, done } = await this.answers.next()
    if (done) throw new Error('tick_gap has ended')
    return Number(value) / 1000
  }

  async close(): Promise<void> {
    this.child.stdin!.end()
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit')
  }
}
