import type { Host } from '../inside/host'
import { bringUpBridge, LinuxVm } from '../inside/linux-vm'
import { reservedBroker, startFresh } from '../inside/reserved-broker'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const outside = { vm0: '10.0.2.16', vm1: '10.0.2.17' } as const
const names = Object.keys(outside) as Array<keyof typeof outside>

function vmsOf(host: Host): LinuxVm[] {
  return names.map(name => {
    const vm = new LinuxVm(host, name)
    vm.write(outside[name])
    return vm
  })
}

async function begin(host: Host): Promise<void> {
  await startFresh(host)
  await bringUpBridge(host, names)
  const vms = vmsOf(host)
  for (const vm of vms) await vm.makeDisk()
  await Promise.all(vms.map(vm => vm.run('the guest boots')))
  await Promise.all(vms.map(vm => vm.progress('the guest serves')))
  await save(vms)
}

async function save(vms: readonly LinuxVm[]): Promise<void> {
  await Promise.all(vms.map(vm => vm.settle()))
  await Promise.all(vms.map(vm => vm.stop('save')))
}

/** The guests go on, on the same connections. */
async function goOn(host: Host): Promise<LinuxVm[]> {
  const broker = await host.broker(reservedBroker)
  host.measure('brokerReadyMs', broker.readyMs)
  await bringUpBridge(host, names)
  const vms = vmsOf(host)
  await Promise.all(vms.map(vm => vm.run('the guest goes on')))
  for (const vm of vms) {
    const { pausesMs, boot } = await vm.progress('the guest goes on')
    host.same(boot, 1, `boots of ${vm.name}`)
    host.measure(`${vm.name}PauseSeconds`, Math.round(pausesMs.at(-1)!) / 1000)
  }
  return vms
}

const scenario: Scenario = {
  title:
    'the connections of two Linux guests stay open over a kexec, their streams have no gap, their disks are in order',
  machine: oneProcessor,
  outside,
  steps: [
    stage('boot two guests, talk to them, save them', begin),
    kexec(),
    stage('the guests go on', async host => {
      await save(await goOn(host))
    }),
    kexec(),
    stage('the guests go on once more, and end in order', async (host: Host) => {
      const vms = await goOn(host)
      for (const vm of vms) {
        const { records } = vm.status()
        await vm.stop('powerdown')
        const written = await vm.records()
        host.check(written.length >= records, `${vm.name} has ${written.length} records, and said ${records}`)
        host.measure(`${vm.name}Records`, written.length)
      }
    }),
  ],
}
export default scenario
