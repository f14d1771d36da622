/**
 * Proves that a process which somebody passed a descriptor, without the claim and without a mapping, is named to the owner of
 * the memory and to administrators, and to nobody else.
 */
import { chmodSync } from 'node:fs'
import { connect, MiB } from '../../src/client'
import { needsRoot } from '../support/needs-root'
import { OtherProcess } from '../support/other-process'
import { TestBroker, until } from '../support/test-broker'
import { ctl } from './support/ctl'
import { Holder } from './support/holder'

test.each(['directory', 'memfd'] as const)('of %s memory', async source => {
  const server = await TestBroker.start({ main: { source, more: '[[owner]]\nuid = 65534' } })
  const broker = await connect({ socket: server.socket })
  const holder = new Holder(
    server.socket,
    `const allocation = await broker.allocate({ name: 'vm/ram', size: ${MiB} })
     const mapping = await allocation.map()
     const { spawn } = require('node:child_process')
     const stdio = ['ignore', 'ignore', 'ignore', mapping.fd]
     tell(spawn('sleep', ['1000'], { stdio, detached: true }).pid)`,
  )
  const heir = (await holder.next()) as number
  try {
    const all = () => broker.get('vm/ram', { holders: true })
    // A look has a bound: on a busy host it may not have come to every process.
    const namesHeir = async () => (await all()).others?.pids.join() === String(heir)
    await until(namesHeir, 'the other process is named')
    expect(await all()).toMatchObject({ allocation: { holderPid: holder.pid } })
    await holder.end()
    await until(async () => (await all()).allocation.holderPid === null, 'it is unclaimed')
    await until(namesHeir, 'the other process is named without the claim')
    const show = async () => (await ctl(server.socket, 'show', 'vm/ram')).stdout
    const line = new RegExp(`holder +nobody\\nalso open by +process ${heir}: somebody passed a descriptor on`)
    await until(async () => line.test(await show()), 'the other process is shown')
    expect((await broker.get('vm/ram')).others).toBeUndefined()

    if (needsRoot('another uid asks who has memory open')) {
      chmodSync(server.folder, 0o755)
      await (await broker.allocation('vm/ram')).share(65534, 'read')
      const other = await OtherProcess.start(server.socket, { uid: 65534 })
      const input = { name: 'vm/ram', holders: true }
      expect(await other.refusal('GetAllocation', input)).toBe('PermissionDenied')
      expect(await other.refusal('GetAllocation', { name: 'vm/ram' })).toBeUndefined()
      await other.kill()
    }
    process.kill(heir, 'SIGKILL')
    await until(async () => (await all()).others?.pids.length === 0, 'nobody has it open')
    await until(async () => !(await show()).includes('also open by'), 'nobody is shown')
  } finally {
    await holder.end()
    await broker.close()
    await server.dispose()
  }
})
