import { readdirSync, writeFileSync } from 'node:fs'
import type { Host } from '../inside/host'
import { MemoryHolder } from '../inside/memory-holder'
import { allFreeMemoryIsZero } from '../inside/range-memory'
import { rangeName, startFresh, takingBroker } from '../inside/reserved-broker'
import { kexec, type Scenario, stage } from '../scenario'

const bytes = 32 * 2 ** 20
const graceMs = 300

/** QEMU's device for teaching does DMA; here it is a virtual machine's own. */
async function giveDevice(host: Host): Promise<void> {
  writeFileSync('/sys/bus/pci/drivers/vfio-pci/new_id', '1234 11e8')
  await host.until(() => readdirSync('/dev/vfio').length === 2, 'the device has a group')
}

/** A device may write to the memory at any time, with or without a process that has it mapped. */
async function mappedForDma(host: Host): Promise<void> {
  await giveDevice(host)
  await startFresh(host, takingBroker)
  const client = await host.connect()
  for (const ways of [['vfio'], ['vfio', 'close']]) {
    const name = ways.join('-')
    const holder = await MemoryHolder.start(host, name, bytes, ways)
    await holder.says(/^pinned/)
    const outcome = await (await client.allocation(name)).release({ graceMs })
    host.same(outcome, 'quarantined', `outcome of ${name}`)
    const [retired] = (await client.status()).retired
    host.say(retired!.reason)
    host.check(/vfio|references into 2 MiB/.test(retired!.reason), `the reason: ${retired!.reason}`)
    host.check(!holder.lines.includes('sigbus'), 'the holder still has its memory')
    holder.kill()
    await holder.ended()
    const heldBy = async () => (await client.status()).retired.flatMap(({ holders }) => holders)
    await host.until(async () => (await heldBy()).length === 0, `nobody is seen to hold ${name}`)
  }
  await client.close()
}

/** Kernels differ in whether VFIO ever lets go of such pages; the references end with the kernel. */
async function comesBack(host: Host): Promise<void> {
  await host.broker(takingBroker)
  const client = await host.connect()
  await allFreeMemoryIsZero(host, client, rangeName)
  await client.close()
}

const scenario: Scenario = {
  title:
    'devdax: memory that a device may reach by DMA (VFIO) is not taken away, and comes back with the next kernel at the latest',
  machine: ['-machine', 'q35', '-device', 'intel-iommu,caching-mode=on'],
  parameters: ['intel_iommu=on'],
  steps: [stage('mapped for DMA', mappedForDma), kexec(), stage('the next kernel', comesBack)],
}
export default scenario
