/** Proves that a broker or a client in a namespace of its own is told what is wrong, and what mends it. */
import { spawn } from 'node:child_process'
import { needsRoot } from '../../support/needs-root'
import { TestBroker } from '../../support/test-broker'
import { ctl, ctlMain, outcomeOf } from '../support/ctl'

const itAsRoot = needsRoot('brokers and clients in namespaces') ? test : test.skip

const inPidNamespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']

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
        mend: expect.stringMatching(/host's pid namespace/),
      })
    } finally {
      await broker.dispose()
    }
  },
)

itAsRoot("in the host's pid namespace it sees also clients that are in one of their own", async () => {
  // Proves the mend, and that a container of a client's is no reason to complain.
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
