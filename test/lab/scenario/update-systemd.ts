import type { Host } from '../inside/host'
import { checkUpdated, hold, installServices, type Services } from '../inside/vm-services'
import { oneProcessor, type Scenario, stage, update } from '../scenario'

const services: Services = { vms: ['vm-1', 'vm-2'], held: 'vm-2' }

/** Bounds on hanging, in milliseconds. */
const patience = ['--deadline', '600000', '--within', '600000']

async function leave(host: Host): Promise<void> {
  const { image, initrd } = host.nextKernel
  hold()
  host.say(await host.ctl('update', '--kernel', image, '--initrd', initrd, ...patience))
}

async function plainKexec(host: Host): Promise<void> {
  const { image, initrd } = host.nextKernel
  await host.exec('kexec', ['-s', '-l', image, `--initrd=${initrd}`, '--reuse-cmdline'])
  await host.exec('systemctl', ['kexec'])
}

const scenario: Scenario = {
  title:
    'one command replaces the kernel of a host under systemd, or systemctl alone, and its VMs go on without anybody typing anything',
  systemd: true,
  machine: oneProcessor,
  steps: [
    stage('install the broker, and two VMs as services', host => installServices(host, services)),
    update('broker-ctl update', leave),
    stage('everything is back, and one VM does not wait for the other', host => checkUpdated(host, services)),
    update('systemctl kexec, without a word to the broker', plainKexec),
    stage('everything is back', host => checkUpdated(host, services)),
  ],
}
export default scenario
