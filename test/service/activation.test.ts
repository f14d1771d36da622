/**
 * Proves whose sockets a broker takes that a service manager started with several, or that was started with variables that
 * are another process': the one called 'varlink', none that is not its own; and that what it says else tells what to do.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { native } from '../../native'
import { packageRoot } from '../support/package-root'
import { TestClient, until } from '../support/test-broker'

let folder: string
let child: ChildProcess | undefined
let output: string
const sockets: number[] = []

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-activation-'))
})
afterEach(async () => {
  if (child && child.exitCode === null && child.signalCode === null) {
    const gone = new Promise(resolve => child!.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  for (const fd of sockets.splice(0)) closeSync(fd)
  rmSync(folder, { recursive: true, force: true })
})

const at = (name: string) => path.join(folder, name)

/** Passes listening sockets a.sock, b.sock, ... under the names. variables: shell words, after LISTEN_PID is right. */
function start(names: readonly string[], variables = ''): void {
  for (const [index] of names.entries()) sockets.push(native.listenUnix(at(`${'abc'[index]}.sock`), 8))
  output = ''
  const script = `export LISTEN_PID=$$ LISTEN_FDS=${names.length} LISTEN_FDNAMES=${names.join(':')} ${variables}; exec "$0" "$@"`
  const main = path.join(packageRoot, 'dist/program/membrokerd.js')
  const args = [main, '--directory', at('memory'), '--size', '16M', '--socket', at('own.sock')]
  child = spawn('sh', ['-c', script, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', ...sockets],
  })
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', text => {
      output += text
    })
}

const ready = () => until(() => output.includes('"msg":"ready"'), 'the broker is ready')

async function answersAt(name: string): Promise<boolean> {
  const client = new TestClient(at(name))
  try {
    return (await client.call('GetStatus', {})).pid === child!.pid
  } finally {
    client.close()
  }
}

test.each([
  ['varlink', 'a.sock'],
  ['broker', 'a.sock'],
  ['other:varlink', 'b.sock'],
  ['varlink:other:another', 'a.sock'],
])('of sockets called %s it takes %s, and leaves the others alone', async (names, taken) => {
  start(names.split(':'))
  await ready()
  expect(await answersAt(taken)).toBe(true)
  expect(existsSync(at('own.sock'))).toBe(false)
  const others = names.split(':').filter(name => name.includes('other'))
  for (const other of others) expect(output).toContain(`('${other}') from the service manager is not used`)
})

test.each(['other:another', 'varlink:varlink'])(
  'sockets called %s leave it no choice; what it says ends it',
  async names => {
    start(names.split(':'))
    await until(() => child!.exitCode !== null, 'its end')
    expect(child!.exitCode).toBe(1)
    expect(output).toMatch(/passes several sockets \(.*a.sock, .*b.sock\).* FileDescriptorName=varlink/)
  },
)

test('variables with the id of another process’ pidfd are not for it', async () => {
  start(['varlink'], 'LISTEN_PIDFDID=1')
  await ready()
  expect(await answersAt('own.sock')).toBe(true)
})

test('the id of its own pidfd is right, where the kernel has such', async () => {
  // The shell that becomes the broker is the same process.
  const ask = `require('${packageRoot}/dist/native').native.pidfdOpen(process.ppid)`
  const id = `fs.fstatSync(${ask}, { bigint: true }).ino`
  start(['varlink'], `LISTEN_PIDFDID=$("${process.execPath}" -e "console.log(String(${id}))")`)
  await ready()
  expect(await answersAt('a.sock')).toBe(true)
})
