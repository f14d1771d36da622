import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Command, Option } from 'commander'
import { BrokerError } from '../errors'
import { findExecutable } from './executable'
import { exitCode, Failure, UsageError } from './exit'
import { Verb } from './verb'

/** The exit code of ssh for its own failures; broker-ctl has no such code. */
const sshFailed = 255
/** A connection that breaks without a word is noticed after half a minute. */
const sshOptions = ['-o', 'ServerAliveInterval=10', '-o', 'ServerAliveCountMax=3']

interface RemoteOptions {
  host?: string
  endWithInput?: boolean
  socket?: string
  json?: boolean
  secretFile?: string
}

/** Gives a program -H: what follows runs on that host, by ssh. */
export function addHost(program: Command): void {
  program
    .option(
      '-H, --host <[user@]host>',
      'run the verb on this host, by ssh, with the broker-ctl and the rights that the user has there',
      checkedHost,
    )
    .addOption(new Option('--end-with-input').hideHelp())
    .hook('preAction', async (_, verb) => {
      const options = program.opts<RemoteOptions>()
      if (options.endWithInput) endWithInput()
      if (options.host !== undefined) process.exit(await runOn(options.host, program, verb))
    })
}

/** @throws UsageError for anything that ssh or its configuration could take for something else than a host */
function checkedHost(text: string): string {
  if (!/^(?:\w[\w.-]*@)?(?:\w[\w.:-]*|\[[\da-fA-F:.]+(?:%\w+)?\])$/.test(text))
    throw new UsageError(
      `--host ${JSON.stringify(text)} is not [user@]host; port and key belong in ~/.ssh/config`,
    )
  return text
}

/**
 * A word that every login shell passes on as it is. Single quotes hold anything but themselves and, in some shells, a
 * backslash.
 */
export function quoted(word: string): string {
  if (/[\0\r\n]/.test(word))
    throw new UsageError(`${JSON.stringify(word)} has a line break, which does not go to another host`)
  return word.replaceAll(/[\\']|[^\\']+/g, part => (/[\\']/.test(part) ? `\\${part}` : `'${part}'`)) || "''"
}

/** @returns the exit code of the verb there. @throws Failure, BrokerError */
async function runOn(host: string, program: Command, verb: Command): Promise<number> {
  const reason = verb instanceof Verb ? verb.described.staysHere : undefined
  if (reason !== undefined) throw new UsageError(`${verb.name()} does not go to another host: ${reason}`)
  const { socket, json = false, secretFile } = verb.optsWithGlobals<RemoteOptions>()
  const isInteractive = verb.name() === 'top' && process.stdin.isTTY && process.stdout.isTTY
  const ownsInput = !isInteractive && secretFile !== '-'
  // The options before the verb, and then everything else as it was typed.
  const words = [
    ...['broker-ctl', ...(ownsInput ? ['--end-with-input'] : []), ...(json ? ['--json'] : [])],
    ...(socket === undefined ? [] : ['--socket', socket]),
    ...program.args,
  ]
  const args = [...sshOptions, isInteractive ? '-t' : '-T', '--', host, words.map(quoted).join(' ')]
  const child = spawn(findExecutable('ssh'), args, {
    stdio: [ownsInput ? 'pipe' : 'inherit', 'inherit', json ? 'pipe' : 'inherit'],
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', text => {
    said += text
  })
  child.stdin?.on('error', () => {})
  let isInterrupted = false
  // The verb there ends when its input does, and so it does when this process is gone.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      isInterrupted = true
      if (child.stdin) child.stdin.end()
      else child.kill(signal)
    })
  const [code] = (await once(child, 'close')) as [number | null]
  if (isInterrupted) throw new BrokerError('Aborted', 'interrupted')
  if (code === null || code === sshFailed) {
    const why = said.trim() === '' ? '' : `: ${said.trim()}`
    throw new Failure(
      'HostUnreachable',
      `ssh reached no broker-ctl on ${host}, or lost it${why}; what had begun there may still be carried out`,
      exitCode.unreachable,
    )
  }
  process.stderr.write(said)
  return code
}

/** At the end of standard input, as at SIGTERM: nobody waits for this process any more. */
function endWithInput(): void {
  process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'))
  process.stdin.resume().unref()
}
