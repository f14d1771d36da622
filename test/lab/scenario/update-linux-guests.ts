import { spawn } from 'node:child_process'
import { existsSync, openSync, writeFileSync } from 'node:fs'
import { brokerConfiguration, type Host } from '../inside/host'
import { bringUpBridge, LinuxVm } from '../inside/linux-vm'
import { reservedBroker, startFresh } from '../inside/reserved-broker'
import { kexec, oneProcessor, type Scenario, stage } from '../scenario'

const outside = { vm0: '10.0.2.16', vm1: '10.0.2.17' } as const
/** A bound on hanging. */
const boundMs = 900_000
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
  await vms[0]!.upgrade()
  await Promise.all(vms.map(vm => vm.settle()))
  await update(host)
}

/** All of an update of the host but its last command, which the next step is. */
async function update(host: Host): Promise<void> {
  const { image, initrd } = host.nextKernel
  const going = '/run/going'
  writeFileSync('/run/go', `touch ${going}\nexec sleep 1000000\n`)
  const log = openSync(host.file('update.log'), 'a')
  const updating = spawn(
    'broker-ctl',
    [
      ...['update', '--kernel', image, '--initrd', initrd, '--config', brokerConfiguration],
      ...['--deadline', String(boundMs), '--within', String(boundMs), '--go', 'sh /run/go'],
    ],
    { stdio: ['ignore', log, log] },
  )
  await host.until(() => existsSync(going) || updating.exitCode !== null, 'the update is at its last command')
  host.same(updating.exitCode, null, 'exit code of the update')
}

/** What the broker remembers of the update. */
async function measure(host: Host): Promise<void> {
  const { report, phases, longest, notBack } = JSON.parse(await host.ctl('update', 'report', '--json'))
  host.same(report.outcome, 'replaced', 'outcome of the update')
  host.same(notBack, [], 'participants that are not back')
  host.say(await host.ctl('update', 'report'))
  for (const [name, ms] of Object.entries({ ...phases, ...longest }))
    if (typeof ms === 'number') host.measure(name, ms)
}

/** The guests go on, on the same connections. */
async function goOn(host: Host): Promise<LinuxVm[]> {
  const broker = await host.broker(reservedBroker)
  host.measure('brokerReadyMs', broker.readyMs)
  await bringUpBridge(host, names)
  const vms = vmsOf(host)
  await Promise.all(vms.map(vm => vm.goOn()))
  for (const vm of vms) {
    const { boot } = await vm.progress('the guest goes on')
    host.same(boot, 1, `boots of ${vm.name}`)
    vm.measurePause()
  }
  return vms
}

const scenario: Scenario = {
  title:
    'connections of two Linux guests stay open over an upgrade of QEMU, an update of the host and a kexec without warning; disks are in order',
  machine: oneProcessor,
  outside,
  steps: [
    stage('boot two guests, talk to them, upgrade one, update the host', begin),
    kexec({ loaded: true }),
    stage('the guests go on, and are saved', async host => {
      const vms = await goOn(host)
      await measure(host)
      await Promise.all(vms.map(vm => vm.settle()))
      await Promise.all(vms.map(vm => vm.stop('save')))
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
