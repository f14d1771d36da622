import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { counterFirmware } from '../../guest/counter-guest'
import { softReserved } from '../reserved'
import type { Host } from './host'

const deploy = '/opt/node_modules/membroker/deploy'
const units = '/etc/systemd/system'

const brokerFile = `
[[range]]
name = "guests"
source = "devdax"
base = "0x${softReserved.base.toString(16)}"
bytes = ${softReserved.bytes}

[[owner]]
user = "vmm"
bytes_max = ${softReserved.bytes}
allocations_max = 64
mappings_max = 64
names = ["vm-*"]
open_by_path = true

[[owner]]
uid = 0
bytes_max = ${softReserved.bytes}
allocations_max = 64
mappings_max = 64
names = ["linux/*"]
open_by_path = true
`

const countsFile = (vm: string) => `/var/lib/vm/${vm}.counts`

/** QEMU, but not before a file says so. */
const heldQemu = '/etc/membroker/held-qemu'
const goFile = '/var/lib/vm/go'

/**
 * Guests that are halted most of the time leave the emulated processor to the rest, as guests do that have processors of their
 * own. To print a line costs it several milliseconds.
 */
const countsPerSecond = 2
/** So many more counts show that a guest runs. */
const countsAwaited = 4

const vmFile = (qemu: string, vm: string, stateBytes = '2MiB') => `
[vm]
user = "vmm"
qemu = "${qemu}"
arguments = [
  "-machine", "pc", "-accel", "kvm", "-cpu", "qemu64,apic=off", "-nodefaults", "-no-user-config", "-display", "none",
  "-bios", "/etc/membroker/firmware",
  "-chardev", "file,id=counts,path=${countsFile(vm)},append=on", "-serial", "chardev:counts",
]

[[memory]]
bytes = "16MiB"

[state]
bytes = "${stateBytes}"

[deadline]
start_ms = 1800000
save_ms = 1800000
answer_ms = 600000
`

export const unitOf = (vm: string) => `membroker-vm@${vm}.service`

export interface Services {
  vms: readonly string[]
  /** One of them; after hold() its QEMU starts when the others are seen to run. */
  held?: string
  /** For what is saved. Default: it grows on demand. */
  stateBytes?: string
}

/** Install the broker as its guide says, on reserved memory, and VMs that count. All of it starts with the host from now on. */
export async function installServices(host: Host, services: Services): Promise<void> {
  await installBroker(host, brokerFile)
  await host.sh(`cp ${deploy}/devdax.conf ${units}/membroker.service.d/`)
  await host.exec('membrokerd', ['--config', '/etc/membroker.toml', '--format', 'guests'])
  // The broker has not scrubbed the new range yet; the VMs wait for that.
  await addVms(host, services)
}

/** Install the broker, on this configuration, and what VMs need. */
export async function installBroker(host: Host, configuration: string): Promise<void> {
  await host.sh(`set -e
    mkdir -p ${units}/membroker.service.d ${units}/lab.service.d /etc/membroker/vm /var/lib/vm
    cd ${deploy}
    cp membroker.service membroker.socket membroker-vm@.service ${units}/
    chown vmm /var/lib/vm`)
  writeFileSync('/etc/membroker.toml', configuration)
  writeFileSync('/etc/membroker/firmware', counterFirmware(countsPerSecond))
  const script = `#!/bin/sh\nuntil test -e ${goFile}; do sleep 0.2; done\nexec qemu-system-x86_64 "$@"\n`
  writeFileSync(heldQemu, script, { mode: 0o755 })
  writeFileSync(goFile, '')
}

/** Start those that do not run yet, and check that all do. */
export async function addVms(host: Host, { vms, held, stateBytes }: Services): Promise<void> {
  // The lab's own part takes no time of the processor's while the host starts.
  const others = vms.filter(vm => vm !== held)
  writeFileSync(`${units}/lab.service.d/last.conf`, `[Unit]\nAfter=${others.map(unitOf).join(' ')}\n`)
  for (const vm of vms)
    writeFileSync(
      `/etc/membroker/vm/${vm}.toml`,
      vmFile(vm === held ? heldQemu : 'qemu-system-x86_64', vm, stateBytes),
    )
  const all = ['membroker.socket', 'membroker.service', ...vms.map(unitOf)]
  await host.exec('systemctl', ['enable', '--now', ...all])
  await checkRunning(host, vms)
  rememberBoot(host, vms)
}

/** Check that everything runs at its first try, each VM with this status where one is given. */
async function checkRunning(host: Host, vms: readonly string[], status?: string): Promise<void> {
  host.same(await stateOf(host, 'membroker.service'), 'active', 'state of the broker')
  const properties = `ActiveState,NRestarts${status === undefined ? '' : ',StatusText'}`
  const shown = await host.exec('systemctl', ['show', '-p', properties, ...vms.map(unitOf)])
  const told = shown.trimEnd().split('\n\n')
  for (const [index, vm] of vms.entries()) {
    const is = Object.fromEntries(told[index]!.split('\n').map(line => line.split('=')))
    host.same(is, { StatusText: status, ActiveState: 'active', NRestarts: '0' }, unitOf(vm))
  }
  host.same(await host.exec('systemctl', ['list-units', '--failed', '--no-legend']), '', 'units that failed')
  await countOn(host, vms, countsAwaited)
}

/** A look at a file costs next to nothing, which can't be said of a program on an emulated processor. */
async function countOn(host: Host, vms: readonly string[], times: number): Promise<void> {
  const before = vms.map(vm => counts(vm).length)
  for (const [index, vm] of vms.entries())
    await host.until(() => counts(vm).length > before[index]! + times, `${vm} counts`)
}

/** Wait for VMs that were saved for an update which is called off, and check that everything runs as before. */
export async function checkGoneOn(host: Host, vms: readonly string[]): Promise<void> {
  await countOn(host, vms, 1)
  for (const unit of vms.map(unitOf))
    await host.until(
      async () => (await propertyOf(host, unit, 'StatusText')) === 'running',
      `${unit} goes on`,
    )
  await checkRunning(host, vms, 'running')
}

/** On the next kernel, the QEMU of the VM that is held waits. */
export function hold(): void {
  rmSync(goFile)
}

/** Check that another kernel has been booted, and that every VM has gone on from the very count it stood at. */
export async function checkUpdated(host: Host, { vms, held }: Services): Promise<void> {
  const before = host.recall<ReturnType<typeof remembered>>('hostBefore')
  host.check(bootId(host) !== before.boot, 'another kernel was booted')
  const resumed = 'running; it went on from where it was saved'
  if (held !== undefined && !existsSync(goFile)) {
    const others = vms.filter(vm => vm !== held)
    await checkRunning(host, others, resumed)
    host.same(await stateOf(host, unitOf(held)), 'activating', `the others do not wait for ${held}`)
    writeFileSync(goFile, '')
    await countOn(host, [held], 1)
    await host.until(async () => (await stateOf(host, unitOf(held))) !== 'activating', `${held} has started`)
  }
  await checkRunning(host, vms, resumed)
  for (const vm of vms) {
    const all = counts(vm)
    host.check(all.length > before.counted[vm]! + countsAwaited, `${vm} has counted on`)
    // Stopped between count and print, it prints the very count once more.
    const kept = all.filter((count, index) => count !== all[index - 1])
    host.same(
      kept,
      kept.map((_, index) => index + 1),
      `counts of ${vm}, from the first boot on`,
    )
    host.say(`${vm} has counted to ${all.at(-1)}`)
  }
  rememberBoot(host, vms)
}

const stateOf = (host: Host, unit: string) => propertyOf(host, unit, 'ActiveState')

async function propertyOf(host: Host, unit: string, name: string): Promise<string> {
  return (await host.exec('systemctl', ['show', '-p', name, '--value', unit])).trimEnd()
}

function rememberBoot(host: Host, vms: readonly string[]): void {
  host.remember('hostBefore', remembered(host, vms))
}

function remembered(host: Host, vms: readonly string[]): { boot: string; counted: Record<string, number> } {
  return { boot: bootId(host), counted: Object.fromEntries(vms.map(vm => [vm, counts(vm).length])) }
}

const bootId = (host: Host) => host.read('/proc/sys/kernel/random/boot_id')

/** All that the guest has ever printed, in order. */
function counts(vm: string): number[] {
  // The last line may be half written.
  return [...readFileSync(countsFile(vm), 'latin1').matchAll(/^counter (\d+)\r\n/gm)].map(([, count]) =>
    Number(count),
  )
}
