import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { counterAddress } from '../../guest/counter-guest'
import { Qemu, qemuRamFd } from '../../guest/qemu'
import { deviceStateBytesMax } from './device-state-size'
import { brokerSocket, type Host } from './host'
import { withMapped } from './physical-memory'

const ramBytes = 64 * 2 ** 20
const stateFd = 10
const helper = path.join(__dirname, 'device-state.js')

/**
 * A KVM guest that counts: Debian's QEMU, started by broker-ctl exec, with its RAM and its device state in two
 * allocations of the broker's, NAME/ram and NAME/devices.
 */
export class CountingGuest {
  private constructor(
    private readonly host: Host,
    readonly name: string,
    readonly qemu: Qemu,
  ) {}

  /** Allocate, and start the guest from 0. */
  static async boot(host: Host, name: string): Promise<CountingGuest> {
    return new CountingGuest(host, name, await Qemu.boot(options(name)))
  }

  /** Claim, and go on with what save() left. The guest is still stopped. */
  static async load(host: Host, name: string): Promise<CountingGuest> {
    const command = `exec node ${helper} load /proc/$PPID/fd/${stateFd}`
    return new CountingGuest(host, name, await Qemu.loadFrom(options(name), command))
  }

  /** Stop the guest, and keep its device state in its allocation. Returns the count it stopped at. */
  async save(): Promise<number> {
    const done = path.join(folderOf(this.name), 'saved')
    rmSync(done, { force: true })
    await this.qemu.saveTo(`exec node ${helper} save /proc/$PPID/fd/${stateFd} ${done}`)
    await this.host.until(() => existsSync(done), `the device state of ${this.name} is saved`)
    this.host.measure(`${this.name}DeviceStateBytes`, Number(readFileSync(done, 'utf8')))
    return this.storedCounter()
  }

  /** The counter in the guest's memory; while the guest is stopped, it stands still. */
  storedCounter(): number {
    const memory = `/proc/${this.qemu.process.pid}/fd/${qemuRamFd}`
    return withMapped(memory, 0, deviceStateBytesMax, bytes => bytes.readUInt32LE(counterAddress))
  }

  /** Let it run; every count it prints must follow the given one without a gap. */
  async goOnFrom(count: number): Promise<void> {
    this.host.same(this.storedCounter(), count, `count in the memory of ${this.name} before it goes on`)
    await this.qemu.cont()
    await this.countTo(count + 100)
    const printed = this.qemu.process.lines
      .flatMap(line => /^counter (\d+)$/.exec(line)?.[1] ?? [])
      .map(Number)
    const first = printed[0]!
    // Stopped between count and print, it prints the very count once more.
    this.host.check(
      first === count || first === count + 1,
      `${this.name} goes on from ${count}: it said ${first}`,
    )
    this.host.same(
      printed,
      printed.map((_, index) => first + index),
      `counts of ${this.name}`,
    )
    this.host.say(`${this.name} stood at ${count} and went on to ${printed.at(-1)}`)
  }

  async countTo(count: number): Promise<void> {
    await this.qemu.process.counterBeyond(BigInt(count), 300_000)
  }
}

function options(name: string) {
  const folder = folderOf(name)
  mkdirSync(folder, { recursive: true })
  const launcher = [
    ...['broker-ctl', '--socket', brokerSocket, 'exec'],
    ...['--map', `${name}/ram:fd=${qemuRamFd},allocate=${ramBytes},guest=0`],
    ...['--map', `${name}/devices:fd=${stateFd},allocate=${deviceStateBytesMax}`, '--'],
  ]
  return { program: 'qemu-system-x86_64', folder, ramBytes, launcher, accelerator: 'kvm' as const }
}

function folderOf(name: string): string {
  return path.join('/run', name)
}
