import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { brokerSocket, type Host } from './host'

/** The drivers of test/clients, as commands of the lab. */
export const clientDrivers = {
  c: 'c-client',
  python: 'python3 /opt/node_modules/membroker/test/clients/driver.py',
} as const

/** What a driver of test/clients is to do. */
interface Request {
  readonly op: string
  readonly args: object
}

/** Results of the requests, by a process of its own, which then ends. @throws Error with the first that failed */
export async function askClient(
  host: Host,
  command: string,
  requests: readonly Request[],
): Promise<unknown[]> {
  const child = spawn('sh', ['-c', `exec ${command}`], { stdio: ['pipe', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', text => {
      said[name] += text
    })
  const close = once(child, 'close')
  const all = [{ op: 'connect', args: { socket: brokerSocket } }, ...requests]
  child.stdin.end(all.map(request => `${JSON.stringify(request)}\n`).join(''))
  const [status, signal] = await close
  host.check(status === 0, `${command} ends with 0, not ${status ?? signal}: ${said.stderr}`)
  const answers = said.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { result?: unknown; error?: object })
  for (const [index, { error }] of answers.entries())
    host.check(error === undefined, `${command} ${JSON.stringify(all[index])}: ${JSON.stringify(error)}`)
  return answers.slice(1).map(({ result }) => result)
}
