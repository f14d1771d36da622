import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { DiskRecord } from '../../guest/linux/blocks'
import { makeDisk, recordsOn, vmFile } from '../../guest/linux/machine'
import { type PeerStatus, wentOn } from '../../guest/linux/stream-peer'
import { peerFile, quietFile } from '../outside'
import { guestLabel } from '../share'
import { readGrowing } from './growing-file'
import type { Host } from './host'

const directory = '/etc/membroker/vm'
const ramBytes = 128 * 2 ** 20

/** Commands that make the bridge between the machine's network device and the guests' taps. */
function bridgeCommands(taps: readonly string[]): string[] {
  return [
    'ip link add br0 type bridge',
    'ip link set eth0 master br0',
    'ip link set eth0 up',
    ...taps.flatMap(tap => [`tunctl -t ${tap}`, `ip link set ${tap} master br0`, `ip link set ${tap} up`]),
    'ip link set br0 up',
  ]
}

export async function bringUpBridge(host: Host, taps: readonly string[]): Promise<void> {
  await host.sh(bridgeCommands(taps).join('\n'))
}

/** Makes the bridge at every start of a host under systemd, before its VMs. */
export async function installBridge(host: Host, taps: readonly string[]): Promise<void> {
  const unit = [
    ...['[Unit]', 'Wants=network.target', 'Before=network.target'],
    ...['[Service]', 'Type=oneshot', 'RemainAfterExit=yes'],
    ...bridgeCommands(taps).map(command => `ExecStart=busybox ${command}`),
    ...['[Install]', 'WantedBy=multi-user.target', ''],
  ]
  writeFileSync('/etc/systemd/system/bridge.service', unit.join('\n'))
  await host.exec('systemctl', ['enable', '--now', 'bridge.service'])
}

/** A Linux guest under KVM as a VM of broker-ctl, with a tap of its name, a disk that survives kexec, and a peer outside. */
export class LinuxVm {
  private runner: ChildProcess | undefined

  constructor(
    private readonly host: Host,
    readonly name: string,
  ) {}

  get disk(): string {
    return this.host.file(`${this.name}.disk`)
  }

  private get log(): string {
    return this.host.file(`${this.name}.log`)
  }

  async makeDisk(): Promise<void> {
    await makeDisk(this.disk)
  }

  /** Its file, which each kernel's host has anew. qemu: instead of the one on the PATH. */
  write(address: string, qemu?: string): void {
    const folder = this.host.file(`kernel/${guestLabel}`)
    const files = { image: `${folder}/vmlinuz`, initrd: `${folder}/initrd` }
    const { name, disk } = this
    // Each interrupt of a guest costs an emulated host some milliseconds.
    const parameters = ['guest.tick_us=50000', 'guest.record_us=200000']
    const network = { tap: name, address, fd: 50 }
    const guest = { files, disk, network, accelerator: 'kvm' as const, parameters }
    mkdirSync(directory, { recursive: true })
    writeFileSync(
      `${directory}/${name}.toml`,
      vmFile(guest, { ramBytes, ...(qemu !== undefined && { qemu }) }),
    )
  }

  /** Waits until it has said that the guest boots, or goes on. */
  async run(says: 'the guest boots' | 'the guest goes on'): Promise<void> {
    const before = readGrowing(this.log).length
    const log = openSync(this.log, 'a')
    this.runner = spawn('broker-ctl', ['vm', 'run', this.name], { stdio: ['ignore', log, log] })
    closeSync(log)
    const said = () => readGrowing(this.log).subarray(before).toString('utf8')
    await this.host.until(() => said().includes(says) || this.ended, `${this.name}: ${says}`)
    if (!said().includes(says)) throw new Error(`${this.name} ended before ${says}:\n${said()}`)
  }

  /** Runs it from its save, and measures the time from then until it is heard outside, as often as the peer tells. */
  async goOn(): Promise<void> {
    const { frames } = this.status()
    await this.run('the guest goes on')
    const ran = performance.now()
    await this.host.until(() => this.status().frames > frames, `the first packet of ${this.name}`)
    this.host.measure(`${this.name}FirstPacketSeconds`, Math.round(performance.now() - ran) / 1000)
  }

  async stop(how: 'save' | 'powerdown'): Promise<void> {
    await this.host.ctl('vm', 'stop', this.name, `--${how}`)
    await this.host.until(() => this.ended, `the end of the runner of ${this.name}`)
    this.host.same(this.runner!.exitCode, 0, `exit code of the runner of ${this.name}`)
  }

  /** Into another QEMU, under the guest that runs on. */
  async upgrade(): Promise<void> {
    const { downtimeMs } = JSON.parse(await this.host.ctl('vm', 'upgrade', this.name, '--json'))
    this.host.measure(`${this.name}UpgradeMs`, downtimeMs)
    const { boot } = await this.progress('the guest goes on in another QEMU')
    this.host.same(boot, 1, `boots of ${this.name}`)
  }

  /** The peer's, outside. */
  status(): PeerStatus {
    const status = JSON.parse(readFileSync(this.host.file(peerFile(this.name)), 'utf8')) as PeerStatus
    if (status.failure !== undefined) throw new Error(`${this.name}: ${status.failure}`)
    return status
  }

  /** Waits until all that the peer has written is with the guest. The peer writes nothing more before the guest goes on. */
  async settle(): Promise<void> {
    this.host.remember(this.pausesName, this.status().pausesMs.length)
    writeFileSync(this.host.file(quietFile), '')
    const isSettled = ({ sent, received }: PeerStatus) => sent === received
    const before = this.status().frames
    await this.host.until(
      () => this.status().frames > before + 10 && isSettled(this.status()),
      `${this.name} has all that was written to it`,
    )
  }

  /** Waits until the connection that was there from the beginning has carried something both ways. */
  async progress(what: string): Promise<PeerStatus> {
    rmSync(this.host.file(quietFile), { force: true })
    const before = this.status()
    await this.host.until(() => wentOn(before, this.status()), `${this.name}: ${what}`)
    return this.status()
  }

  /** The longest time without a byte since settle(). */
  measurePause(): void {
    const { pausesMs } = this.status()
    const longest = Math.max(...pausesMs.slice(this.host.recall<number>(this.pausesName)))
    this.host.measure(`${this.name}PauseSeconds`, Math.round(longest) / 1000)
  }

  records(): Promise<DiskRecord[]> {
    return recordsOn(this.disk)
  }

  private get pausesName(): string {
    return `pauses of ${this.name}`
  }

  private get ended(): boolean {
    return this.runner!.exitCode !== null || this.runner!.signalCode !== null
  }
}
