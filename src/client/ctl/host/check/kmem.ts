import { type AddressSpan, overlap } from '../../../../../protocol/kernel/address-span'
import { bad, good, type HostCheck, type Subject, warning } from '../check'
import { isSoftReserved, physicalRanges, spanOf } from '../configured-range'
import { daxDevice } from '../dax-devices'
import { stateOf } from '../drivers'
import type { HostFiles } from '../host-files'

const driver = '/sys/bus/dax/drivers/kmem'

/** The driver kmem turns device-DAX memory into the kernel's own. */
export const kmem: HostCheck = {
  id: 'kmem',
  matters: source => source.reservation?.as === 'softReserved',
  run: subject => {
    const taken = takenFrom(subject)
    if (taken.length > 0)
      return bad(
        `${taken.map(({ name }) => name).join(', ')} was made the kernel's own memory by the driver kmem`,
        `${taken.map(device => takeBack(subject.files, device)).join('; ')}; where a write says "Device or resource busy", the kernel ` +
          'does not let go of the memory: boot with dax_hmem.region_idle=1',
      )
    switch (stateOf(subject.files, 'kmem')) {
      case 'absent':
        return good('the driver kmem is not loaded')
      case 'loaded':
        return warning(
          "the driver kmem is loaded, which can make device-DAX memory the kernel's own",
          "modprobe -r kmem && echo 'blacklist kmem' >/etc/modprobe.d/membroker.conf",
        )
      case 'builtIn':
        return warning(
          "the driver kmem is built into this kernel, and can make device-DAX memory the kernel's own",
          'add initcall_blacklist=dax_kmem_init to the kernel parameters, and boot',
        )
    }
  },
}

interface Taken {
  readonly name: string
  readonly span: AddressSpan | undefined
}

/** kmem's devices that have memory of a range, or whose memory is unknown. */
function takenFrom({ files, configuration }: Subject): Taken[] {
  const wanted = physicalRanges(configuration.ranges).filter(isSoftReserved).map(spanOf)
  return files
    .list(driver)
    .filter(name => /^dax\d+\.\d+$/.test(name))
    .map(name => ({ name, span: daxDevice(files, name) }))
    .filter(({ span }) => span === undefined || wanted.some(range => overlap(range, span)))
}

/** All blocks of memory must go offline before the driver lets go of the device. */
function takeBack(files: HostFiles, { name, span }: Taken): string {
  const blockBytes = Number.parseInt(files.text('/sys/devices/system/memory/block_size_bytes') ?? '', 16)
  if (span === undefined || Number.isNaN(blockBytes))
    return `daxctl reconfigure-device --mode=devdax --force ${name}`
  const [first, last] = [Math.floor(span.start / blockBytes), Math.ceil(span.end / blockBytes) - 1]
  return (
    `for block in $(seq ${first} ${last}); do echo offline >/sys/devices/system/memory/memory$block/state; done; ` +
    `echo ${name} >${driver}/unbind`
  )
}
