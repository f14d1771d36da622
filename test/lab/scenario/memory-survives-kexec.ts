import type { Host } from '../inside/host'
import { digest, fillWithPattern, makeDaxInstance, withMapped } from '../inside/physical-memory'
import { reserved, softReserved } from '../reserved'
import { kexec, type Scenario, stage } from '../scenario'

const MiB = 2 ** 20

/** Not at the beginning of either range: the address has to be found again, too. */
const dax = { base: softReserved.base + 64 * MiB, bytes: 64 * MiB }
const raw = { base: reserved.base + 32 * MiB, bytes: 8 * MiB }

async function fill(host: Host): Promise<void> {
  const device = makeDaxInstance(dax.base, dax.bytes)
  const written = (seed: number) => (bytes: Buffer) => {
    fillWithPattern(bytes, seed)
    return digest(bytes)
  }
  host.remember('dax', withMapped(device, 0, dax.bytes, written(1)))
  host.remember('raw', withMapped('/dev/mem', raw.base, raw.bytes, written(2)))
  host.remember('boot', host.read('/proc/sys/kernel/random/boot_id'))
}

async function compare(host: Host): Promise<void> {
  const boot = host.read('/proc/sys/kernel/random/boot_id')
  host.check(boot !== host.recall('boot'), 'this is another boot of the kernel')
  host.same(withMapped('/dev/mem', raw.base, raw.bytes, digest), host.recall('raw'), 'digest of /dev/mem')
  const device = makeDaxInstance(dax.base, dax.bytes)
  host.same(withMapped(device, 0, dax.bytes, digest), host.recall('dax'), 'digest of the instance')
}

const scenario: Scenario = {
  title: 'soft-reserved and reserved memory keep their bytes over kexec',
  steps: [
    stage('fill a device-DAX instance and reserved memory', fill),
    kexec(),
    stage('the bytes are the same', compare),
  ],
}
export default scenario
