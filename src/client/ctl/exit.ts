import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { withoutCode } from '../../../protocol/system-reason'
import { BrokerError } from '../errors'
import { printableLines } from './table'

export const exitCode = {
  good: 0,
  refused: 1,
  usage: 2,
  unreachable: 3,
  unsafe: 4,
  findings: 5,
  damaged: 6,
  cannotExecute: 126,
  notFound: 127,
  interrupted: 130,
}

/** The meaning of each, for help and manual. */
export const exitCodes: Record<number, string> = {
  [exitCode.good]: 'done; also when the reader of the output closes it early',
  [exitCode.refused]: 'the broker or the command refused, or another failure; the error is on stderr',
  [exitCode.usage]: 'wrong usage',
  [exitCode.unreachable]: "the broker, or the host of --host, can't be reached",
  [exitCode.unsafe]: 'preflight, update: the next kernel would lose a range',
  [exitCode.findings]: 'doctor: there is something to repair',
  [exitCode.damaged]: 'verify: an allocation is changed or poisoned',
  [exitCode.cannotExecute]: "exec, vm, libvirt-qemu: the command, or QEMU, can't be executed",
  [exitCode.notFound]: 'exec, vm, libvirt-qemu: the command, or QEMU, was not found',
  [exitCode.interrupted]: 'interrupted (SIGINT, SIGTERM)',
}

export const exitCodeHelp = `
Exit codes:
${Object.entries(exitCodes)
  .map(([code, meaning]) => `  ${code.padEnd(3)}  ${meaning}`)
  .join('\n')}`

/** The code of wrong usage. */
const usage = 'Usage'

/** Wrong usage that only shows when a verb looks at its arguments. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Something that failed with an exit code of its own. */
export class Failure extends Error {
  readonly code: string
  readonly exit: number

  constructor(code: string, message: string, exit: number) {
    super(message)
    this.code = code
    this.exit = exit
  }
}

const hints: Record<string, string> = {
  NotClaimed:
    'broker-ctl exec --map claims an allocation for the command it runs; the library has broker.claim()',
  NoSpace: 'broker-ctl ranges shows free space, broker-ctl status memory that the broker is still scrubbing',
  QuotaExceeded: 'broker-ctl status shows quotas; retired memory stays charged until it is free',
  AlreadyClaimed: 'end that process first; its claim ends with it',
  Frozen: 'broker-ctl update cancel ends that of an update, broker-ctl thaw any other',
  PermissionDenied:
    "allocations with a secret need --secret-file; broker-ctl give changes an owner; administrators are root, the broker's own user and the users of [admin]",
  ConsoleOff: 'a [console] section in its configuration starts it',
  ConfigInvalid: 'membrokerd --config FILE --check says the same without a broker',
}

/** In a user namespace a uid is another outside, and that one owns: under another mapping the same program owns nothing of it. */
function hintOf(code: string, kind: unknown): string | undefined {
  if (code !== 'NotFound' && code !== 'NameTaken') return hints[code]
  if (kind !== undefined && kind !== 'allocation') return undefined
  const { uid, isMapped } = outsideUid(readFileSync('/proc/self/uid_map', 'latin1'), process.geteuid!())
  const others =
    "all users of a broker share its names; broker-ctl list shows yours, another user's may be hidden"
  const give = "an administrator gives you another uid's by broker-ctl give"
  if (!isMapped) {
    const known = `${others}; the broker knows you as uid ${uid}`
    if (code === 'NameTaken') return known
    return uid === 0 ? undefined : `${known}, and ${give}`
  }
  return (
    `${others}; the mapping of your user namespace makes you uid ${uid} to the broker, and what was made under another ` +
    `mapping is another uid's: give the namespace the mapping it had (/etc/subuid, --uidmap), or ${give}`
  )
}

/** One line for people, or one JSON object, and the exit code. help: the command that explains the usage. */
export function explain(
  error: unknown,
  json: boolean,
  help = 'broker-ctl --help',
): { text: string; exit: number } {
  const { code, message, parameters, exit } = classify(error)
  const hint =
    code !== usage ? hintOf(code, parameters?.kind) : hasHelped(error) ? undefined : `${help} explains it`
  if (json) return { text: JSON.stringify({ error: code, message, parameters, hint }), exit }
  const lines = [`broker-ctl: ${code}: ${message}`, ...(hint ? [`hint: ${hint}`] : [])]
  return {
    text: lines.map(printableLines).join('\n'),
    exit,
  }
}

function classify(error: unknown) {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof BrokerError && error.code === 'Aborted')
    return {
      code: error.code,
      message: 'interrupted; the broker may still carry out the call',
      exit: exitCode.interrupted,
    }
  if (error instanceof BrokerError) {
    const exits: Record<string, number> = {
      BrokerUnreachable: exitCode.unreachable,
      ConnectionLost: exitCode.unreachable,
    }
    return {
      code: error.code,
      message,
      parameters: error.parameters,
      exit: exits[error.code] ?? exitCode.refused,
    }
  }
  if (error instanceof UsageError) return { code: usage, message, exit: exitCode.usage }
  if (error instanceof Failure) return { code: error.code, message, exit: error.exit }
  if (error instanceof CommanderError) {
    return {
      code: usage,
      message: hasHelped(error) ? 'a verb is missing' : inOurWords(message),
      exit: error.exitCode === 0 ? 0 : exitCode.usage,
    }
  }
  const system = error as { code?: unknown } | undefined
  return typeof system?.code === 'string'
    ? { code: system.code, message: withoutCode(error), exit: exitCode.refused }
    : { code: 'Failed', message, exit: exitCode.refused }
}

/** Commander has printed the help. */
function hasHelped(error: unknown): boolean {
  return error instanceof CommanderError && error.code === 'commander.help'
}

/** Commander's sentence. Its commands are verbs here. */
function inOurWords(sentence: string): string {
  return sentence.replace(/^error: (?:command-argument )?/, '').replace(/^unknown command /, 'unknown verb ')
}

/** A uid as those outside of this user namespace see it, by /proc/self/uid_map: lines of first inside, first outside, count. */
export function outsideUid(map: string, uid: number): { uid: number; isMapped: boolean } {
  for (const line of map.trim().split('\n')) {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number) as [number, number, number]
    if (uid >= inside && uid < inside + count)
      return { uid: outside + uid - inside, isMapped: count !== 2 ** 32 - 1 || outside !== inside }
  }
  return { uid, isMapped: true }
}
