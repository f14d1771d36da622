import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildProgram } from '../guest/build'
import { type GuestFiles, guestFiles } from '../guest/linux/files'
import { type LinuxGuest, linuxArguments, makeDisk, vmFile } from '../guest/linux/machine'
import { requireQemu } from '../guest/require-qemu'
import { Progress } from '../lab/progress'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'
import { newestQemu } from '../vm/newest-qemu'
import { type Run, Scene } from '../vm/scene'
import { percentile } from './figures'

const ramBytes = 2 ** 30
/** A page of the guest's memory that its kernel leaves alone, and the guest's count of ticks is in. */
const ticksAddress = 0x2000_0000
const tickUs = 250
const loads = { idle: [], busy: ['guest.dirty_mib=768'] } as const
const settleMs = 500
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
  readonly memory: string
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
    const costs: UpgradeCost[] = []
    for (const [qemu, ways] of [
      [own, ['membroker', 'script']],
      [newest, ['membroker', 'script', 'cpr']],
    ] as Array<[string | undefined, Way[]]>) {
      if (qemu === undefined) continue
      for (const load of Object.keys(loads) as Load[])
        costs.push(await measure({ qemu, files, folder, load, progress }, ways, blocks, perBlock))
    }
    return costs
  } finally {
    rmSync(folder, { recursive: true })
  }
}

interface Setting {
  readonly qemu: string
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
  const { qemu, load } = setting
  const version = /version (\S+)/.exec(attemptNow(qemu, ['--version']).stdout)?.[1] ?? qemu
  const pauses = new Map<Way, number[]>(ways.map(way => [way, []]))
  const undisturbed: number[] = []
  for (let block = 0; block < blocks; block++)
    for (const way of ways) {
      setting.progress(`QEMU ${version}, ${load} guest, ${way}, ${block + 1} of ${blocks}`)
      const guest = await (way === 'membroker' ? startVm(setting) : startScript(setting, way))
      const gap = new TickGap(guest.memory)
      try {
        await sleep(settleMs)
        for (let index = 0; index < perBlock; index++) {
          await gap.longestMs()
          await sleep(settleMs)
          undisturbed.push(await gap.longestMs())
          await guest.upgrade()
          await sleep(settleMs)
          pauses.get(way)!.push(await gap.longestMs())
        }
      } finally {
        await gap.close()
        await guest.close()
      }
    }
  return {
    ...{ qemu: version, load, upgrades: blocks * perBlock, undisturbed: summary(undisturbed) },
    ways: Object.fromEntries([...pauses].map(([way, times]) => [way, summary(times)])),
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
  await run.guestSays(/guest: ready/)
  return {
    memory: await scene.file(`${vm}/ram`),
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
  await until(() => over() || said.includes('guest: ready'), 'the guest is ready')
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    memory,
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

/** Looks at the guest's ticks from outside. */
class TickGap {
  private readonly child: ChildProcess
  private readonly answers: AsyncIterator<string>

  constructor(memory: string) {
    const program = buildProgram('test/bench/tick_gap.c')
    if (program === undefined) throw new Error('looking at the ticks needs a C compiler')
    this.child = spawn(program, [memory, String(ticksAddress)], { stdio: ['pipe', 'pipe', 'inherit'] })
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
