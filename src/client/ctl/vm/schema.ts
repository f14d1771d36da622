import { MiB } from '../../../../protocol/units'

/** The possible contents of a VM's file; the same object drives ajv, the manual page and the messages. */

export interface VmFile {
  vm?: {
    user?: string
    qemu?: string
    arguments?: string[]
    on_stop?: StopMode
    secret_file?: string
  }
  memory: Array<{ bytes: number | string; range?: string; node?: number; align?: number | string }>
  tap?: Array<{ name: string; fd: number; vnet_hdr?: boolean }>
  state?: { bytes?: number | string; range?: string }
  deadline?: {
    start_ms?: number
    save_ms?: number
    powerdown_ms?: number
    answer_ms?: number
    away_ms?: number
  }
}

export const stopModes = ['save', 'powerdown', 'quit'] as const
/** save: the next run continues from here. powerdown: the guest's power button. quit: the plug. */
export type StopMode = (typeof stopModes)[number]

export const defaults = {
  qemu: 'qemu-system-x86_64',
  onStop: 'save',
  stateBytes: 32 * MiB,
  startMs: 120_000,
  saveMs: 60_000,
  powerdownMs: 90_000,
  answerMs: 30_000,
  awayMs: 60_000,
} as const

const size = (description: string) => ({
  anyOf: [
    { type: 'integer', minimum: 1 },
    { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)? ?([KMGTP]i?B?|B)?$' },
  ],
  description,
})
const milliseconds = (description: string) => ({
  type: 'integer',
  minimum: 100,
  maximum: 86_400_000,
  description,
})
const text = (description: string) => ({ type: 'string', minLength: 1, description })
const table = (description: string, properties: object, required: readonly string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  properties,
  required,
  description,
})

const firstTapFd = 50
const tapsMax = 32
const tapDescription =
  'A tap device of the host. broker-ctl opens it before it becomes the user, and QEMU inherits it: "-netdev", "tap,id=net0,fd=50". "vm upgrade" passes it on; a device that QEMU opens by its name is busy for the next QEMU.'

export const vmSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['memory'],
  properties: {
    vm: table('The virtual machine.', {
      user: text(
        'User that broker-ctl and QEMU run as, and that owns the memory; it needs an [[owner]] with open_by_path = true in membroker.toml(5). Default: who starts it.',
      ),
      qemu: text(
        `QEMU, by path or as found in PATH. A script must become QEMU (exec): a child of its own would outlive it. Default: "${defaults.qemu}".`,
      ),
      arguments: {
        type: 'array',
        items: { type: 'string' },
        description:
          'The rest of its command line, an element for each word: machine type, processors, NUMA distances, disks, networks. Not memory, and nothing that starts, loads or daemonizes: broker-ctl adds these.',
      },
      on_stop: {
        enum: stopModes,
        description: `What SIGTERM and "broker-ctl vm stop" do. "save": stop the guest and keep its device state beside its memory, so that the next run goes on from there. "powerdown": press the power button. "quit": pull the plug. Default: "${defaults.onStop}".`,
      },
      secret_file: text(
        'File with the secret of its allocations; it may be readable by root alone. Default: no secret.',
      ),
    }),
    memory: {
      type: 'array',
      minItems: 1,
      maxItems: 32,
      items: table(
        'Memory of the guest: an allocation, NAME/ram. Of several, each is a NUMA node of the guest in this order, with an allocation of its own: NAME/ram-0, NAME/ram-1 and so on.',
        {
          bytes: size('Its size. Several together are what -m would say.'),
          range: text(
            "Name of the range that it is taken from. Default: the broker chooses; then no memory is made while the broker can't read one of its ranges.",
          ),
          node: {
            type: 'integer',
            minimum: 0,
            description: 'NUMA node of the host that it is taken from. Default: any.',
          },
          align: size("Alignment of each extent, where more than the range's own. A power of two."),
        },
        ['bytes'],
      ),
      description:
        'Memory of the guest: an allocation, NAME/ram. Of several, each is a NUMA node of the guest in this order, with an allocation of its own: NAME/ram-0, NAME/ram-1 and so on.',
    },
    tap: {
      type: 'array',
      maxItems: tapsMax,
      items: table(
        tapDescription,
        {
          name: text('Its name on the host, such as "tap0". Where there is none, the kernel makes one.'),
          fd: {
            type: 'integer',
            minimum: firstTapFd,
            maximum: firstTapFd + tapsMax - 1,
            description: `The number of its descriptor in QEMU, ${firstTapFd} to ${firstTapFd + tapsMax - 1}.`,
          },
          vnet_hdr: {
            type: 'boolean',
            description: 'Packets have a header for offloads, which virtio-net uses. Default: true.',
          },
        },
        ['name', 'fd'],
      ),
      description: tapDescription,
    },
    state: table('Where the device state is kept while the guest is saved: the allocation NAME/state.', {
      bytes: size(
        'Its size when it is made; broker-ctl grows it where a save needs more. Video memory and firmware are part of what is saved. Default: "32MiB".',
      ),
      range: text(
        'Name of the range that it is taken from; one that survives kexec. Default: that of the first [[memory]], or another where that does not take it.',
      ),
    }),
    deadline: table('How long each step may take, in milliseconds.', {
      start_ms: milliseconds(
        `Until the guest runs, or goes on. Default: ${defaults.startMs}. Time that the broker takes counts.`,
      ),
      save_ms: milliseconds(
        `Until the guest is saved. A save that takes longer fails, and the guest goes on. Default: ${defaults.saveMs}.`,
      ),
      away_ms: milliseconds(
        `While the guest is saved for an update of the host: how long it stays paused without a connection to the broker. Then it goes on. Default: ${defaults.awayMs}.`,
      ),
      answer_ms: milliseconds(`Until QEMU answers a command on its monitor. Default: ${defaults.answerMs}.`),
      powerdown_ms: milliseconds(
        `Until the guest has switched itself off. Then broker-ctl ends it. Default: ${defaults.powerdownMs}.`,
      ),
    }),
  },
} as const
