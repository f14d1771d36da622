/** Proves what a launcher leaves to the program that it becomes, and to its parent where it becomes none. */
import { once } from 'node:events'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { Launcher } from '../../src/client/ctl/vm/launcher'

const variable = 'MEMBROKER_FDS=vm/ram=10'
const launchers: Launcher[] = []

function start(): Launcher {
  const launcher = new Launcher(['ignore', 'pipe', 'pipe'])
  launchers.push(launcher)
  return launcher
}

afterEach(async () => {
  for (const launcher of launchers.splice(0)) await launcher.kill()
})

test('the program has the variable once, also where its parent has one of that name', async () => {
  const launcher = start()
  launcher.become('env', ['env'], `PATH=${process.env.PATH}:/last`, [])
  const seen = await text(launcher.child.stdout!)
  expect(seen.match(/^PATH=.*/gm)).toEqual([`PATH=${process.env.PATH}:/last`])
})

test('a program that is not there: the exit code of a shell, and why', async () => {
  const launcher = start()
  const exit = once(launcher.child, 'exit')
  launcher.become('/no/such/program', ['x'], variable, [])
  expect(await text(launcher.child.stderr!)).toBe('/no/such/program: No such file or directory\n')
  expect(await exit).toEqual([127, null])
})

test('a descriptor that can not be passed leaves no copies of the others', () => {
  const launcher = start()
  const fd = openSync('/dev/null', 'r')
  try {
    const before = readdirSync('/proc/self/fd').length
    const fds = [
      { from: fd, to: 10 },
      { from: 1_000_000, to: 11 },
    ]
    expect(() => launcher.become('env', ['env'], variable, fds)).toThrow(/EBADF/)
    expect(readdirSync('/proc/self/fd')).toHaveLength(before)
  } finally {
    closeSync(fd)
  }
})
