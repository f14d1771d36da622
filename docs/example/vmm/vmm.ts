/**
 * The part of a virtual machine monitor that has to do with memory: node vmm.js [TICKS]
 * The guest is one counter; each tick adds one to it. Started again, it goes on where it was. Ends after so many ticks.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Broker, BrokerError, connect, type Mapping, MiB } from 'membroker'

const vm = 'vm-demo'
const parts = [
  { name: `${vm}/ram`, size: 64 * MiB, guestAddress: 0 },
  { name: `${vm}/firmware`, size: 2 * MiB, guestAddress: 0xffc0_0000 },
]

/** Memory slots by guest-physical address, as KVM_SET_USER_MEMORY_REGION is told them. */
type Slots = Map<number, Mapping>

// What the VMM before this one had, in one call: allocations, mappings, where the guest sees each.
async function takeUp(broker: Broker): Promise<Slots> {
  const { claimed, notClaimed } = await broker.rebuild({ prefix: `${vm}/` })
  for (const { name, outcome, detail } of notClaimed) throw new Error(`${name}: ${outcome} (${detail})`)
  for (const { allocation, verdict } of claimed)
    if (verdict === 'changed' || verdict === 'poisoned') throw new Error(`${allocation.name} is ${verdict}`)
  return new Map(claimed.flatMap(({ mappings }) => mappings.map(mapping => [mapping.guestAddress!, mapping])))
}

// The first time there is nothing to take up; after a VMM that was killed in between, a part may be missing.
async function complete(broker: Broker, slots: Slots): Promise<void> {
  for (const { name, size, guestAddress } of parts) {
    if (slots.has(guestAddress)) continue
    const allocation = await broker.allocate({ name, size, align: 2 * MiB }).catch(error => {
      if (error instanceof BrokerError && error.code === 'NameTaken') return broker.allocation(name)
      throw error
    })
    slots.set(guestAddress, await allocation.map({ guestAddress }))
  }
}

async function main(ticks: number): Promise<void> {
  const broker = await connect()
  const slots = await takeUp(broker)
  const again = slots.size > 0
  await complete(broker, slots)

  const ram = slots.get(0)!
  const memory = ram.window({ offset: 0, length: 4096 })
  console.log(again ? `going on at ${memory.readBigUInt64LE()}` : 'started')

  // The broker wants memory back: stop the guest, and let go of everything made of the descriptor. Afterwards the
  // library unmaps the windows, closes the descriptor and tells the broker.
  const stopped = new AbortController()
  ram.onRevoke(() => stopped.abort())

  for (let tick = 0; tick < ticks && !stopped.signal.aborted; tick++) {
    memory.writeBigUInt64LE(memory.readBigUInt64LE() + 1n)
    await sleep(1)
  }
  console.log(
    stopped.signal.aborted ? 'the broker took the memory back' : `stopped at ${memory.readBigUInt64LE()}`,
  )

  // The process ends without giving anything back: the next one finds it all.
  await broker.close()
}

main(Number(process.argv[2] ?? 100)).catch((error: Error) => {
  console.error(`vmm: ${error.message}`)
  process.exit(1)
})
