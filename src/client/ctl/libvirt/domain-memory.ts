import { formatSize } from '../../../../protocol/units'
import type { Allocation, CallOptions } from '../../index'
import { exitCode, Failure } from '../exit'
import type { Domain } from './domain'

/**
 * Checks that memory that this process has claimed is the domain's. The first domain to get it stays its owner, by UUID. Each start
 * is another generation of the memory: device state that was saved before belongs to memory that a guest has changed since.
 * @throws Failure NotPermitted, MemoryOfAnother, MemorySize
 */
export async function checkMemory(
  { name, uuid, memories }: Domain,
  allocation: Allocation,
  options: CallOptions,
): Promise<void> {
  const { info } = allocation
  const release = `"broker-ctl release ${info.name}" ends it`
  const uid = process.geteuid!()
  if (info.uid !== uid)
    throw failure('NotPermitted', `${info.name} belongs to uid ${info.uid}, and QEMU runs as uid ${uid}`)
  const metadata = info.metadata ?? {}
  const { vm, generation, uuid: owner } = metadata
  if (owner !== undefined && owner !== uuid)
    throw failure(
      'MemoryOfAnother',
      `${info.name} is the memory of a domain with the UUID ${owner}, and this one has ${uuid}. If that domain is gone, ${release}`,
    )
  if (owner === undefined && generation !== undefined)
    throw failure(
      'MemoryOfAnother',
      `${info.name} is the memory of the VM ${vm} of "broker-ctl vm"; ${release}`,
    )
  const { bytes } = memories.find(memory => memory.allocation === info.name)!
  if (info.bytes < bytes)
    throw failure(
      'MemorySize',
      `${info.name} has ${formatSize(info.bytes)}, and the domain needs ${formatSize(bytes)}: ` +
        `"broker-ctl grow ${info.name} ${bytes}" makes it larger, ${release}`,
    )
  await allocation.setMetadata({ ...metadata, vm: name, uuid, generation: crypto.randomUUID() }, options)
}

function failure(code: string, message: string): Failure {
  return new Failure(code, `${message}. Nothing was started`, exitCode.refused)
}
