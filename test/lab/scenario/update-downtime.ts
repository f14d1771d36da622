import { beginDowntime, measureDowntime } from '../inside/downtime'
import type { Host } from '../inside/host'
import { processorTime } from '../inside/processor-time'
import { UpdateCommand } from '../inside/update-command'
import { addVms, checkUpdated, installServices } from '../inside/vm-services'
import { oneProcessor, type Scenario, stage, update } from '../scenario'

const vms = Array.from({ length: 16 }, (_, index) => `vm-${index + 1}`)
const few = vms.slice(0, 2)

/** Bounds on hanging, in milliseconds. */
const patience = ['--deadline', '1800000', '--within', '1800000']

async function leave(host: Host): Promise<void> {
  beginDowntime(host)
  const code = await new UpdateCommand(host, ...patience).ended()
  host.check(code === 0, `it ends with 0, not ${code}`)
}

const back = (all: readonly string[]) => async (host: Host) => {
  // Before the check takes time of its own.
  const processor = processorTime()
  await checkUpdated(host, { vms: all })
  await measureDowntime(host, processor)
}

const scenario: Scenario = {
  title: 'the downtime of 2 and of 16 VMs over an update of the host, by phase',
  systemd: true,
  machine: [...oneProcessor, '-m', '4G'],
  report: true,
  minutesMax: 90,
  steps: [
    stage('install the broker, and 2 VMs as services', host => installServices(host, { vms: few })),
    update('broker-ctl update', leave),
    stage('everything is back', back(few)),
    stage('14 more VMs', host => addVms(host, { vms })),
    update('broker-ctl update', leave),
    stage('everything is back', back(vms)),
  ],
}
export default scenario
