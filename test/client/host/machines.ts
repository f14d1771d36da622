import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseMemoryMap } from '../../../protocol/kernel/memory-map'
import { parseNodes } from '../../../src/client/ctl/host/numa-nodes'
import type { Machine } from '../../../src/client/ctl/host/plan'

/** Copies of /proc/iomem and /proc/zoneinfo, as operators would send them. */
export function machineFile(name: string): string {
  return path.join(__dirname, 'machines', name)
}

const text = (name: string) => readFileSync(machineFile(name), 'utf8')

export const machines: Record<'vm' | 'twoSocket' | 'efi', Machine> = {
  vm: { map: parseMemoryMap(text('vm-4g.iomem')), nodes: [], taken: [] },
  twoSocket: {
    map: parseMemoryMap(text('two-socket-512g.iomem')),
    nodes: parseNodes(text('two-socket-512g.zoneinfo')),
    taken: [],
  },
  efi: { map: parseMemoryMap(text('efi-holes.iomem')), nodes: [], taken: [] },
}
