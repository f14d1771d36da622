import type { Host } from '../inside/host'
import { installBridge, LinuxVm } from '../inside/linux-vm'
import { checkUpdated, hold, installServices, type Services, unitOf } from '../inside/vm-services'
import { oneProcessor, type Scenario, stage, update } from '../scenario'

const services: Services = { vms: ['vm-1', 'vm-2'], held: 'vm-2' }
/** A Linux guest, whose peer is outside of the host. */
const outside = { linux: '10.0.2.16' } as const
const linux = (host: Host) => new LinuxVm(host, 'linux')

/** Bounds on hanging, in milliseconds. */
const patience = ['--deadline', '600000', '--within', '600000']

async function install(host: Host): Promise<void> {
  await installServices(host, services)
  await installBridge(host, Object.keys(outside))
  const guest = linux(host)
  await guest.makeDisk()
  guest.write(outside.linux)
  await host.exec('systemctl', ['enable', '--now', unitOf('linux')])
  await guest.progress('the guest serves')
}

async function leave(host: Host): Promise<void> {
  const { image, initrd } = host.nextKernel
  await linux(host).settle()
  hold()
  host.say(await host.ctl('update', '--kernel', image, '--initrd', initrd, ...patience))
}

async function plainKexec(host: Host): Promise<void> {
  const { image, initrd } = host.nextKernel
  await linux(host).settle()
  await host.exec('kexec', ['-s', '-l', image, `--initrd=${initrd}`, '--reuse-cmdline'])
  await host.exec('systemctl', ['kexec'])
}

/** The counting guests, and the connection to the Linux guest. */
async function checkAll(host: Host): Promise<void> {
  await checkUpdated(host, services)
  const { boot } = await linux(host).progress('the guest goes on')
  host.same(boot, 1, 'boots of the Linux guest')
  linux(host).measurePause()
}

/** What the Linux guest has written, and said that it has, is on its disk. */
async function checkDisk(host: Host): Promise<void> {
  const { records } = linux(host).status()
  await host.ctl('vm', 'stop', 'linux', '--powerdown')
  const written = await linux(host).records()
  host.check(
    written.length >= records,
    `the disk has ${written.length} records, and the guest said ${records}`,
  )
}

const scenario: Scenario = {
  title:
    'one command replaces the kernel of a host under systemd, or systemctl alone, and its VMs and their connections go on without anybody typing anything',
  systemd: true,
  machine: oneProcessor,
  outside,
  steps: [
    stage('install the broker, two VMs and a Linux guest as services', install),
    update('broker-ctl update', leave),
    stage('everything is back, and one VM does not wait for the other', checkAll),
    update('systemctl kexec, without a word to the broker', plainKexec),
    stage('everything is back', checkAll),
    stage('the Linux guest ends in order', checkDisk),
  ],
}
export default scenario
