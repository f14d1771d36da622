import type { Command } from 'commander'
import { findExecutable } from '../executable'
import { keepArgument, launch } from '../launch'
import { readDomain, withMemory } from '../libvirt/domain'
import { checkMemory } from '../libvirt/domain-memory'
import { addVerb } from '../verb'
import { launchMs, withBroker } from '../verb-context'

export function addLibvirtQemu(program: Command): void {
  addVerb(program, {
    usage: 'libvirt-qemu <qemu> [args...]',
    staysHere: 'libvirtd of that host starts its domains',
    summary: 'Run QEMU for a libvirt domain, with the memory of the broker',
    examples: [
      "libvirt-qemu --keep 25 -- /usr/bin/qemu-system-x86_64 -name guest=web ... (from the domain's <emulator>)",
    ],
    notes: `The program membroker-qemu-system-x86_64, a domain's <emulator>, runs this with the command line that libvirt has made.
The domain NAME gets the allocation vm-NAME/ram; a domain with NUMA cells has vm-NAME/ram-0, vm-NAME/ram-1 and so on.
broker-ctl makes what is missing, and keeps the domain's UUID in the metadata: another domain of the same name does not
get that memory.

broker-ctl starts nothing, and says why, if part of the domain's memory would not be the broker's. The domain needs

  <memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>

and no memory device, maxMemory, hugepages or discard.`,
  })
    .option('--keep <fd>', 'a descriptor that QEMU inherits unchanged; may be repeated', keepArgument)
    .passThroughOptions()
    .action((qemu: string, args: string[], { keep = [] }: { keep?: number[] }, command: Command) => {
      const domain = readDomain(args)
      const file = findExecutable(qemu)
      const maps = domain.memories.map(({ allocation, bytes }) => ({
        name: allocation,
        fd: undefined,
        path: undefined,
        access: 'readWrite' as const,
        offset: 0,
        length: undefined,
        guestAddress: undefined,
        allocate: bytes,
      }))
      return withBroker(
        command,
        context =>
          launch(context, {
            file,
            maps,
            keep,
            check: (allocation, options) => checkMemory(domain, allocation, options),
            argv: async facts => [qemu, ...withMemory(args, domain, await facts())],
          }),
        launchMs(),
      )
    })
}
