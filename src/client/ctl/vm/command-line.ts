/** Descriptors that QEMU inherits: the monitor's, then that of each memory. */
export const monitorFd = 3
export const firstMemoryFd = 10

const monitorId = 'membroker-monitor'
const memoryId = (index: number) => `membroker-ram-${index}`

/** Options that are broker-ctl's to give, and why. */
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

/** Options with a value in which a part is broker-ctl's. */
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

/** Why these arguments can't be a VM's, as a sentence that names the argument; undefined where they can. */
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

/** What a VM's QEMU is started with. Placeholders are for `broker-ctl exec`, which has the descriptors. */
export interface QemuPlan {
  readonly arguments: readonly string[]
  /** Of each memory in order, how much. */
  readonly memory: ReadonlyArray<{ readonly bytes: number }>
  /** Wait for saved state, of a machine of this type; undefined: boot. */
  readonly resumes: { readonly machine: string } | undefined
}

/** QEMU's arguments; the guest does not run before it is told to. */
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
    ...['-chardev', `socket,id=${monitorId},fd=${monitorFd}`, '-mon', `chardev=${monitorId},mode=control`],
    ...['-S', '-m', `${total}b`],
    ...backends,
    // After the nodes, which -numa cpu and -numa dist speak of.
    ...own,
    // The name that the saved guest's type has by itself: q35 is another one in another QEMU.
    ...(resumes ? ['-machine', resumes.machine, '-incoming', 'defer'] : []),
  ]
}

/** Whether a block of QEMU's memory is one of ours, which a save leaves where it is. */
export function isGuestMemory(block: string): boolean {
  return /^(\/objects\/)?membroker-ram-\d+$/.test(block)
}
