// Programs that tests run to their end. None of them keeps a test waiting for ever: each has a bound, and the error at the
// bound has what was waited for and what the program had said.
import { type SpawnOptions, type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process'

interface ChildOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Its standard input. Default: nothing. */
  input?: string
  /** What its output is. Default: utf8. */
  encoding?: BufferEncoding
  /** Descriptors that it has as 3 and on. */
  fds?: readonly number[]
  uid?: number
  gid?: number
  /** A bound on hanging, far beyond what a busy machine takes. */
  boundMs?: number
  /** What the program waits for, where it may be somebody else's fault. */
  needs?: string
}

/** How a program ended, and what it said. */
export interface Ended {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

const boundMs = 240_000

/** What reaching a registry or an archive may need: proxies, certificates, npm's and Node's settings. */
const network = /^(\w+_proxy|npm_config_\w+|node_(extra_ca_certs|options|use_\w+)|ssl_cert_(file|dir))$/i

/** The environment of a program that is to know nothing of its caller's but PATH, HOME and how to reach the network. */
export function bareEnvironment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env
  const kept = Object.entries(process.env).filter(([name]) => network.test(name))
  return { PATH, HOME, ...Object.fromEntries(kept), ...more }
}

/** Runs a program to its end, whatever that is. At the bound it is killed, with all that it has started. */
export function attempt(
  file: string,
  args: readonly string[] = [],
  options: ChildOptions = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const { boundMs: bound = boundMs, needs, fds = [], input = '', encoding = 'utf8', ...rest } = options
    const child = spawn(file, args, {
      ...(rest as SpawnOptions),
      stdio: ['pipe', 'pipe', 'pipe', ...fds],
      detached: true,
    })
    // It may have ended, or closed it.
    child.stdin!.on('error', () => {}).end(input)
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name]!.setEncoding(encoding).on('data', text => {
        said[name] += text
      })
    const timer = setTimeout(() => {
      killGroup(child.pid!)
      for (const name of ['stdout', 'stderr'] as const) child[name]!.destroy()
      reject(new Error(tooLong(file, args, bound, needs, said)))
    }, bound)
    child.once('error', error => {
      clearTimeout(timer)
      reject(error)
    })
    child.once('close', (status, signal) => {
      clearTimeout(timer)
      resolve({ status, signal, ...said })
    })
  })
}

/** Its standard output; any end but that with status 0 is an error. */
export async function run(
  file: string,
  args: readonly string[] = [],
  options: ChildOptions = {},
): Promise<string> {
  return outputOf(file, args, await attempt(file, args, options))
}

/** As attempt, for short work in the middle of what must not be interrupted: nothing else happens meanwhile. */
export function attemptNow(file: string, args: readonly string[] = [], options: ChildOptions = {}): Ended {
  const { boundMs: bound = boundMs, needs, fds = [], input = '', encoding = 'utf8', ...rest } = options
  const settings = {
    ...rest,
    input,
    stdio: ['pipe', 'pipe', 'pipe', ...fds],
    maxBuffer: 2 ** 28,
    detached: true,
  }
  const { pid, status, signal, stdout, stderr, error } = spawnSync(file, args, {
    ...(settings as SpawnSyncOptions),
    encoding,
    timeout: bound,
    killSignal: 'SIGKILL',
  })
  if (error && (error as NodeJS.ErrnoException).code === 'ETIMEDOUT') {
    killGroup(pid)
    throw new Error(tooLong(file, args, bound, needs, { stdout, stderr }))
  }
  if (error) throw error
  return { status, signal, stdout, stderr }
}

/** As run, for short work in the middle of what must not be interrupted. */
export function runNow(file: string, args: readonly string[] = [], options: ChildOptions = {}): string {
  return outputOf(file, args, attemptNow(file, args, options))
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function outputOf(file: string, args: readonly string[], ended: Ended): string {
  const { status, signal, stdout, stderr } = ended
  if (status === 0) return stdout
  throw Object.assign(
    new Error(`${line(file, args)} ended with ${status ?? signal}:\n${stdout}\n${stderr}`),
    ended,
  )
}

function tooLong(
  file: string,
  args: readonly string[],
  bound: number,
  needs: string | undefined,
  { stdout, stderr }: Pick<Ended, 'stdout' | 'stderr'>,
): string {
  const waited = needs === undefined ? '' : `; it needs ${needs}`
  return `${line(file, args)} had not ended after ${bound / 1000} s${waited}. It had said:\n${stdout}\n${stderr}`
}

const line = (file: string, args: readonly string[]) => [file, ...args].join(' ').slice(0, 300)
