/** Descriptors that QEMU inherits: the monitor's, then that of each memory. */
export const monitorFd = 3
export const firstMemoryFd = 10

const monitorId = 'membroker-monitor'
const memoryId = (index: number) => `membroker-ram-${index}`

/** Options that only broker-ctl may give, and why. */
const refusedOptions: Readonly<Record<string, string>> = {
  m: 'the size of the memory is in [[memory]]',
  'mem-path': 'the memory is in [[memory]]',
  'mem-prealloc': 'the broker prepares the memory',
  S: 'broker-ctl starts the guest',
  incoming: 'broker-ctl loads what was saved',
  loadvm: 'broker-ctl loads what was saved',
  daemonize: 'QEMU stays a child of broker-ctl, which tells the service manager when the guest runs',
  readconfig: "broker-ctl can't see what such a file says; write it into arguments",
  preconfig: 'broker-ctl starts the guest',
  runas: 'the user is vm.user',
  chroot: "QEMU and broker-ctl pass the device state through a socket in broker-ctl's folder",
}

/** Options whose value has a part that only broker-ctl may give. */
const refusedValues: ReadonlyArray<readonly [options: string, value: RegExp, why: string]> = [
  [
    'object',
    /(^|[=",:\s])memory-backend-/,
    "memory of QEMU's own would not be kept; what the guest has is in [[memory]]",
  ],
  ['machine M', /(^|,)memory(-backend|\.[a-z-]+)?=/, 'the memory is in [[memory]]'],
  [
    'numa',
    /(^|,)(memdev|mem)=/,
    'each [[memory]] is a NUMA node already; -numa cpu, -numa dist and the like are yours',
  ],
  ['run-with', /(^|,)(user|chroot)=/, 'the user is vm.user, and QEMU stays in its root'],
  [
    'chardev mon object device netdev blockdev',
    /membroker-/,
    "names that begin with membroker- are broker-ctl's",
  ],
]

/** Says why a VM can't have these arguments, in a sentence that names the argument; undefined where it can. */
export function refusedArgument(args: readonly string[]): string | undefined {
  for (const [index, arg] of args.entries()) {
    const option = /^--?([A-Za-z].*)$/.exec(arg)?.[1]
    if (option === undefined) continue
    const why = refusedOptions[option]
    if (why !== undefined) return `-${option} is not for the file: ${why}`
    const value = args[index + 1] ?? ''
    const found = refusedValues.find(
      ([options, part]) => options.split(' ').includes(option) && part.test(value),
    )
    if (found) return `-${option} ${value} is not for the file: ${found[2]}`
  }
  return undefined
}

/** The plan of a VM's QEMU. Who has the memory fills in the placeholders. */
interface QemuPlan {
  readonly arguments: readonly string[]
  /** The bytes of each memory, in order. */
  readonly memory: ReadonlyArray<{ readonly bytes: number }>
  /** QEMU waits for a guest, of a machine of this type. runs: it runs it by itself. undefined: it boots. */
  readonly resumes: { readonly machine: string; readonly runs: boolean } | undefined
}

/** Returns QEMU's arguments. The guest does not run before QEMU gets the order, or the guest. */
export function qemuArguments({ arguments: own, memory, resumes }: QemuPlan): string[] {
  const total = memory.reduce((sum, { bytes }) => sum + bytes, 0)
  const backends = memory.flatMap(({ bytes }, index) => {
    const map = index === 0 ? 'map' : `map${index + 1}`
    const id = memoryId(index)
    const backend = `memory-backend-file,id=${id},size=${bytes},mem-path={${map}.path},share=on,prealloc=off,align={${map}.align}`
    return memory.length === 1
      ? ['-object', backend, '-machine', `memory-backend=${id}`]
      : ['-object', backend, '-numa', `node,nodeid=${index},memdev=${id}`]
  })
  return [
    // QEMU 11.1 warns that -mon is deprecated. Earlier ones do not know its successor, -object monitor-qmp, and to find out which
    // one this is takes another start of QEMU.
    ...['-chardev', `socket,id=${monitorId},fd=${monitorFd}`, '-mon', `chardev=${monitorId},mode=control`],
    ...(resumes?.runs ? [] : ['-S']),
    ...['-m', `${total}b`],
    ...backends,
    // These follow the nodes, as -numa cpu and -numa dist refer to nodes.
    ...own,
    // The saved guest's type has this name by itself: q35 is a different type in a different QEMU.
    ...(resumes ? ['-machine', resumes.machine, '-incoming', 'defer'] : []),
  ]
}

/** Whether a block of QEMU's memory is one of ours, which a save leaves where it is. */
export function isGuestMemory(block: string): boolean {
  return /^(\/objects\/)?membroker-ram-\d+$/.test(block)
}
