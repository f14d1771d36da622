/** Proves the rules of membroker.h that no case of the table shows: arguments, children, deadlines, handlers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { TestBroker, until } from '../support/test-broker'
import { buildSanitized, sanitizedEnvironment } from './build-driver'

const said = `connect: OK
allocate with something reserved: InvalidArgument
map with something reserved: InvalidArgument
no broker: InvalidArgument
no name: InvalidArgument
a name that is no UTF-8: InvalidArgument
metadata that are no JSON: InvalidArgument
metadata that are no object: InvalidArgument
a method that would be JSON: InvalidArgument
parameters that are no JSON: InvalidArgument
GetRecovery: OK
it has its reply
Watch needs more: ExpectedMore
in a child: InvalidArgument
in its parent: OK
connect: OK
while it stands still: TimedOut
afterwards: OK
map: OK
revoke N
dispatch in a handler: InvalidArgument
release in a handler: InvalidArgument
close of the mapping in its handler: OK
after mb_close() in a handler: Closed
`

test('libmembroker keeps to its header', async () => {
  const program = buildSanitized('rules.c')
  const broker = await TestBroker.start()
  const env = { ...sanitizedEnvironment, MEMBROKER_SOCKET: broker.socket }
  const child = spawn(program, [], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      output += text
    })
    const exit = once(child, 'close')
    let ended = false
    void exit.then(() => {
      ended = true
    })
    await until(() => /^revoke \d+$/m.test(output) || ended, 'it waits to be asked')
    const mapping = Number(/^revoke (\d+)$/m.exec(output)?.[1])
    await broker.client().call('RevokeMapping', { mapping, graceMs: 100_000 })
    expect(await exit).toEqual([0, null])
    expect(output.replace(/^revoke \d+$/m, 'revoke N')).toBe(said)
  } finally {
    child.kill('SIGKILL')
    await broker.dispose()
  }
})
