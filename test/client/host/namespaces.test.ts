/** Proves that a broker or a client in a namespace of its own learns what is wrong, and what repairs it. */
import { spawn } from 'node:child_process'
import { chmodSync, readlinkSync, writeFileSync } from 'node:fs'
import { outsideUid } from '../../../src/client/ctl/exit'
import { needsRoot } from '../../support/needs-root'
import { TestBroker, until } from '../../support/test-broker'
import { ctl, ctlMain, outcomeOf } from '../support/ctl'

const itAsRoot = needsRoot('brokers and clients in namespaces') ? test : test.skip

const inPidNamespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']

/** Runs a command as uid 0 of a user namespace in which that is the uid given. */
async function inUserNamespace(first: number, command: readonly string[]) {
  const become = 'read go && exec setpriv --reuid=0 --regid=0 --clear-groups -- "$@"'
  const child = spawn('unshare', ['--user', '--keep-caps', 'sh', '-c', become, 'sh', ...command])
  child.stdin.on('error', () => {})
  const outcome = outcomeOf(child as never)
  const own = readlinkSync('/proc/self/ns/user')
  await until(() => readlinkSync(`/proc/${child.pid}/ns/user`) !== own, 'the user namespace')
  for (const file of ['gid_map', 'uid_map']) writeFileSync(`/proc/${child.pid}/${file}`, `0 ${first} 1`)
  child.stdin.end('go\n')
  return outcome
}

async function visibility(broker: TestBroker) {
  const { stdout } = await ctl(broker.socket, 'doctor', '--config', broker.configFile, '--json')
  return JSON.parse(stdout).checks.find(({ id }: { id: string }) => id === 'visibility')
}

itAsRoot(
  'a broker that sees no process of its clients is found, and refuses them with the reason',
  async () => {
    const runBy = inPidNamespace
    const broker = await TestBroker.start({ main: {}, runBy })
    try {
      const refused = await ctl(broker.socket, 'allocate', 'a', '4M')
      expect(refused.code).toBe(1)
      expect(refused.stderr).toMatch(/the broker is in a pid namespace of its own and can't see your process/)
      expect(refused.stderr).toMatch(/has to run in the host's pid namespace/)
      expect(await visibility(broker)).toMatchObject({
        result: 'bad',
        repair: expect.stringMatching(/host's pid namespace/),
      })
    } finally {
      await broker.dispose()
    }
  },
)

itAsRoot("in the host's pid namespace it sees also clients that are in one of their own", async () => {
  // Proves the repair, and that the doctor does not complain of a client's container.
  const broker = await TestBroker.start({ main: {} })
  try {
    const [program, ...args] = [...inPidNamespace, process.execPath, ctlMain, '--socket', broker.socket]
    const child = spawn(program!, [...args, 'allocate', 'a', '4M'], { stdio: ['ignore', 'pipe', 'pipe'] })
    expect(await outcomeOf(child)).toMatchObject({ code: 0, stderr: '' })
    expect(await visibility(broker)).toMatchObject({ result: 'good' })
  } finally {
    await broker.dispose()
  }
})

itAsRoot(
  'a client whose user namespace is mapped elsewhere is told as whom the broker knows it',
  async () => {
    // Proves that "not found" and "taken" of the same name are no riddle, in a namespace and outside of one.
    const broker = await TestBroker.start({ main: { more: '[defaults]\nbytes_max = "64MiB"\n' } })
    const mapped = (first: number, ...args: string[]) =>
      inUserNamespace(first, [process.execPath, ctlMain, '--socket', broker.socket, ...args])
    try {
      chmodSync(broker.folder, 0o755)
      expect(await mapped(100_000, 'allocate', 'vm', '4M')).toMatchObject({ code: 0, stderr: '' })
      const taken = await mapped(165_536, 'allocate', 'vm', '4M')
      expect(taken.stderr).toMatch(
        /NameTaken: .*\n.*the mapping of your user namespace makes you uid 165536 to the broker/,
      )
      const unseen = await mapped(165_536, 'exec', '--map', 'vm', '--', 'true')
      expect(unseen.stderr).toMatch(/NotFound: .*\n.*uid 165536 .*give the namespace the mapping it had/)
      // The advice repairs it.
      expect(await mapped(100_000, 'exec', '--map', 'vm', '--', 'true')).toMatchObject({ code: 0 })
    } finally {
      await broker.dispose()
    }
  },
)

test('what a uid is outside is read from the map', () => {
  expect(outsideUid('         0          0 4294967295\n', 1000)).toEqual({ uid: 1000, isMapped: false })
  expect(outsideUid('0 1000 1\n1 100000 65536\n', 0)).toEqual({ uid: 1000, isMapped: true })
  expect(outsideUid('0 1000 1\n1 100000 65536\n', 1000)).toEqual({ uid: 100_999, isMapped: true })
})
