/** Proves that a person sees a waiting command's progress, and that a program does not. */
import type { Call } from '../../../protocol/wire/responder'
import { until } from '../../support/test-broker'
import { ctlMain, startCtl } from '../support/ctl'
import { ScriptedBroker } from '../support/scripted-broker'
import { Pty } from './pty'

let scripted: ScriptedBroker
/** Calls of ListRanges that wait for their answer. */
let waiting: Call[]

beforeEach(() => {
  scripted = new ScriptedBroker()
  waiting = []
  scripted.script.set('ListRanges', call => void waiting.push(call))
})
afterEach(() => scripted.dispose())

const inTerminal = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  new Pty([process.execPath, ctlMain, ...args], { env: { MEMBROKER_SOCKET: scripted.socket, ...env } })
const answer = () => waiting.splice(0).forEach(call => void call.reply({ ranges: [] }))

test('a broker that does not answer is waited for in sight, and nothing of that remains', async () => {
  // Proves the line, its seconds, and that it is erased before the output.
  const held: Call[] = []
  scripted.script.set('GetStatus', call => void held.push(call))
  const pty = inTerminal(['status'])
  try {
    await pty.shows(({ normal }) => /\rwaiting for the broker to answer \.\.\. \d+ s/.test(normal))
    pty.type('\u0003')
    expect(await pty.ended).toEqual({ status: 130, restored: true })
    expect(pty.terminal.normal.split('\r\u001b[K').at(-1)).toMatch(/^broker-ctl: Aborted: interrupted/)
  } finally {
    await pty.dispose()
  }
})

test.each([
  ['--json', ['ranges', '--json'], {}],
  ['a dumb terminal', ['ranges'], { TERM: 'dumb' }],
])('%s has no progress in it', async (_what, args, env) => {
  // Proves that output for programs, and for terminals that can't erase, is only the output.
  const pty = inTerminal(args, env)
  try {
    await until(() => waiting.length > 0, 'the call')
    // Longer than the line would take to appear: what must not come can only be waited for.
    await new Promise(resolve => setTimeout(resolve, 900))
    answer()
    expect(await pty.ended).toMatchObject({ status: 0 })
    expect(pty.terminal.normal).not.toMatch(/waiting|\.\.\./)
    expect(pty.terminal.normal).not.toContain('\u001b[K')
  } finally {
    await pty.dispose()
  }
})

test('into a file goes no progress and no color; on a terminal colors go by NO_COLOR', async () => {
  // Proves that stdout and stderr of a script stay clean, and the switch that users know.
  const { outcome } = startCtl(scripted.socket, ['ranges'])
  await until(() => waiting.length > 0, 'the call')
  answer()
  expect(await outcome).toMatchObject({ code: 0, stderr: '', stdout: expect.not.stringContaining('\u001b') })
  for (const [env, colored] of [
    [{}, true],
    [{ NO_COLOR: '1' }, false],
    [{ FORCE_COLOR: '0' }, false],
  ] as const) {
    const pty = inTerminal(['ranges'], env)
    await until(() => waiting.length > 0, 'the call')
    answer()
    await pty.ended
    expect([env, pty.terminal.colored]).toEqual([env, colored])
  }
})
