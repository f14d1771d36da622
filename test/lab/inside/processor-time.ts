import { readdirSync, readFileSync } from 'node:fs'

const groups = '/sys/fs/cgroup/system.slice'
/** The unit of /proc/PID/stat. */
const msPerTick = 10

/** Milliseconds of processor time since the boot, by program. */
export interface ProcessorTime {
  /** membrokerd, its helper and its workers. */
  readonly broker: number
  /** broker-ctl of all VMs. */
  readonly runners: number
  /** QEMU of all VMs, with the guests. */
  readonly qemu: number
}

export function processorTime(): ProcessorTime {
  const qemu = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .reduce((sum, pid) => sum + qemuMs(pid), 0)
  const vms = groupMs('system-membroker\\x2dvm.slice')
  return { broker: groupMs('membroker.service'), runners: vms - qemu, qemu }
}

function groupMs(name: string): number {
  const [, used] = /^usage_usec (\d+)/m.exec(readFileSync(`${groups}/${name}/cpu.stat`, 'latin1'))!
  return Number(used) / 1000
}

/** 0: it is another program, or gone. */
function qemuMs(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    if (!stat.includes('(qemu-system')) return 0
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
    return (Number(user) + Number(system)) * msPerTick
  } catch {
    return 0
  }
}
