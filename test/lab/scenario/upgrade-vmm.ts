import { writeFileSync } from 'node:fs'
import type { Host } from '../inside/host'
import { bringUpBridge, LinuxVm } from '../inside/linux-vm'
import { reservedBroker, startFresh } from '../inside/reserved-broker'
import { oneProcessor, type Scenario, stage } from '../scenario'

const address = '10.0.2.16'
const outside = { vm0: address } as const

/** A program to run in place of QEMU. */
function program(name: string, script: string): string {
  const file = `/run/${name}`
  writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return file
}

/** The process of its QEMU. */
async function qemuOf(host: Host): Promise<number> {
  const [vm] = JSON.parse(await host.ctl('vm', 'list', '--json'))
  host.same(vm.state, 'running', 'state of the VM')
  return vm.qemuPid
}

/** The connection from outside, which was there from the beginning, goes on. */
async function goesOn(host: Host, vm: LinuxVm, what: string): Promise<void> {
  const { boot } = await vm.progress(what)
  host.same(boot, 1, 'boots of the guest')
}

async function run(host: Host): Promise<void> {
  const broker = await startFresh(host)
  await bringUpBridge(host, [...Object.keys(outside)])
  const vm = new LinuxVm(host, 'vm0')
  await vm.makeDisk()
  vm.write(address)
  await vm.run('the guest boots')
  await vm.progress('the guest serves')

  const first = await qemuOf(host)
  await vm.upgrade()
  const second = await qemuOf(host)
  host.check(second !== first, 'another QEMU runs the guest')

  vm.write(address, program('qemu-that-fails', 'echo no such machine >&2; exit 1'))
  const refused = await host.ctl('vm', 'upgrade', 'vm0').then(
    () => undefined,
    (error: Error) => error.message,
  )
  host.check(refused?.includes('no such machine') === true, `the error has QEMU's words: ${refused}`)
  host.same(await qemuOf(host), second, 'the QEMU that runs the guest')
  await goesOn(host, vm, 'the guest goes on where it was')

  vm.write(address, program('qemu-that-is-slow', 'sleep 3; exec qemu-system-x86_64 "$@"'))
  const upgrade = host.ctl('vm', 'upgrade', 'vm0').then(
    () => true,
    (error: Error) => {
      host.say(error.message)
      return false
    },
  )
  await host.sh('sleep 1')
  await broker.stop('SIGKILL')
  const next = await host.broker(reservedBroker)
  const passed = await upgrade
  host.same((await qemuOf(host)) !== second, passed, 'another QEMU runs the guest')
  await goesOn(host, vm, 'the guest goes on')

  const { records } = vm.status()
  await vm.stop('powerdown')
  const written = await vm.records()
  host.check(
    written.length >= records,
    `the disk has ${written.length} records, and the guest said ${records}`,
  )
  await next.stop()
}

const scenario: Scenario = {
  title:
    'a Linux guest on reserved memory, with an open connection, passes into another QEMU; one that fails, or a broker that is killed meanwhile, costs nothing',
  machine: oneProcessor,
  outside,
  steps: [stage('upgrade the QEMU of a guest that serves', run)],
}
export default scenario
