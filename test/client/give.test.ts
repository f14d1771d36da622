/**
 * Proves that `broker-ctl give` gives one allocation or all of a user's, goes on past what it can't give, and gives the rest when it
 * runs again; that the former user reads a true hint; and that `show --path` prints the path alone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { neighbour, startWithTenants, tenant } from '../program/tenants'
import { attempt } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { until } from '../support/test-broker'
import { ctlMain } from './support/ctl'

const suite = needsRoot('an allocation that changes its owner') ? test : test.skip

suite('give: by name, by user, past a holder, and again', async () => {
  const { broker, end } = await startWithTenants({ owner: 'open_by_path = true' })
  const env = { ...process.env, MEMBROKER_SOCKET: broker.socket, NO_COLOR: '1' }
  const ctl = (...args: string[]) => attempt(process.execPath, [ctlMain, ...args], { env })
  const ctlAs = (uid: number, ...args: string[]) =>
    attempt(
      'setpriv',
      [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', process.execPath, ctlMain, ...args],
      { env },
    )
  try {
    const [left, holder] = [
      await OtherProcess.start(broker.socket, { uid: tenant }),
      await OtherProcess.start(broker.socket, { uid: tenant }),
    ]
    const allocate = (of: OtherProcess, names: string[]) =>
      of.run(async ({ client }, names) => {
        for (const name of names) await client.call('Allocate', { name, bytes: 4096 })
      }, names)
    await allocate(left, ['a', 'b', 'c'])
    await allocate(holder, ['held'])
    await left.kill()
    await until(async () => (await broker.ask('GetStatus', {})).unclaimed === 3, 'three are left')

    const { path } = await broker.ask('GetAllocation', { name: 'a' })
    expect(await ctlAs(tenant, 'show', 'a', '--path')).toMatchObject({ status: 0, stdout: `${path}\n` })
    expect((await ctl('show', 'a')).stdout).toMatch(new RegExp(`^path +${path}$`, 'm'))
    expect(
      await ctl('give', 'a', '--to', String(neighbour), '--from', String(neighbour + 1000)),
    ).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/a: PermissionDenied: .*belongs to uid 65534/),
    })
    expect(await ctl('give', 'a', '--to', String(neighbour))).toMatchObject({
      status: 0,
      stdout: `a: given to uid ${neighbour}\n`,
    })
    expect(await ctlAs(tenant, 'show', 'a', '--path')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /NotFound: .*\nhint: .*uid 65534, and an administrator gives you another uid's by broker-ctl give\n$/,
      ),
    })
    const all = ['give', '--from', String(tenant), '--to', String(neighbour)]
    expect(await ctl(...all)).toMatchObject({
      status: 1,
      stdout: `b: given to uid ${neighbour}\nc: given to uid ${neighbour}\n`,
      stderr: expect.stringMatching(/NotGiven: held: AlreadyClaimed: process \d+, which is alive/),
    })
    await holder.kill()
    let last = await ctl(...all)
    for (; last.status !== 0; last = await ctl(...all)) await sleep(50)
    expect(last.stdout).toBe(`held: given to uid ${neighbour}\n`)
    expect(await ctl(...all)).toMatchObject({ status: 0, stdout: '' })
    expect(await ctlAs(neighbour, 'show', 'held', '--path')).toMatchObject({ status: 0 })
    for (const wrong of [
      ['give', 'a'],
      ['give', '--to', '1'],
      ['give', 'a', '--to', 'no such user'],
    ])
      expect(await ctl(...wrong)).toMatchObject({ status: 2 })
    expect(await ctl('give', 'a', '--to', 'root')).toMatchObject({ status: 0 })
  } finally {
    await end()
  }
})
