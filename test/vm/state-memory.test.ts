/** Proves that the memory of a saved guest is usable after whatever has kept it from being taken, from growing or from its range. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { MiB } from '../../protocol/units'
import { connect } from '../../src/client'
import { StateMemory } from '../../src/client/ctl/vm/state-memory'
import { TestBroker, until } from '../support/test-broker'

const wanted = {
  vm: 'vm-1',
  allocation: 'vm-1.state',
  bytes: MiB,
  range: undefined,
  beside: 'vm-1/ram',
  secret: undefined,
}

test('a growth that a frozen broker refuses can be made up for later', async () => {
  const server = await TestBroker.start()
  const broker = await connect({ socket: server.socket })
  try {
    const { signal } = new AbortController()
    const patience = { deadline: 0, signal, onWait: () => {} }
    const options = { ...wanted, patience }
    const memory = await StateMemory.take(broker, options, signal)
    memory.write(0, Buffer.from('saved'))
    await broker.freeze('an operator')
    await expect(memory.grow(2 * MiB, signal)).rejects.toMatchObject({ code: 'Frozen' })
    await expect(memory.open(signal)).rejects.toMatchObject({ code: 'Frozen' })
    await broker.thaw()
    await memory.open(signal)
    expect(memory.bytes).toBe(MiB)
    expect(memory.read(0, 5).toString()).toBe('saved')
    await memory.grow(2 * MiB, signal)
    expect(memory.read(2 * MiB - 1, 1)).toEqual(Buffer.of(0))
  } finally {
    await broker.close()
    await server.dispose()
  }
})

test.each([
  ['taking it', 'allocate'],
  ['moving it beside its guest', 'ranges'],
] as const)('a freeze between two steps of %s is waited for', async (_, call) => {
  const range = (name: string) => `[[range]]\nname = "${name}"\nsource = "memfd"\nbytes = "16MiB"\n`
  const server = await TestBroker.start({ config: range('first') + range('second') })
  const broker = await connect({ socket: server.socket })
  try {
    const { signal } = new AbortController()
    const waits: string[] = []
    const patience = {
      deadline: Number.POSITIVE_INFINITY,
      signal,
      onWait: (reason: string) => {
        waits.push(reason)
        void broker.thaw()
      },
    }
    const options = { ...wanted, patience }
    const early = call === 'ranges' ? await StateMemory.take(broker, options, signal) : undefined
    const original = broker[call].bind(broker) as (given: never) => Promise<never>
    broker[call] = async (given: never) => {
      broker[call] = original
      const answer = await original(given)
      await broker.freeze('an operator')
      return answer
    }
    if (early) expect(await early.settle('second', true, signal)).toBeUndefined()
    const memory = early ?? (await StateMemory.take(broker, options, signal))
    expect(waits).toEqual([expect.stringMatching(/frozen: .*an operator/)])
    memory.write(0, Buffer.from('saved'))
  } finally {
    await broker.close()
    await server.dispose()
  }
})

test('it lies elsewhere where the guest has all of its range, and beside the guest once there is room', async () => {
  const range = (name: string) => `[[range]]\nname = "${name}"\nsource = "memfd"\nbytes = "${16 * MiB}"\n`
  const server = await TestBroker.start({ config: range('first') + range('second') })
  const broker = await connect({ socket: server.socket })
  try {
    const { signal } = new AbortController()
    const patience = { deadline: 0, signal, onWait: () => {} }
    const bytes = (await broker.ranges()).find(({ name }) => name === 'second')!.largestFreeBytes
    const ram = await broker.allocate({ name: wanted.beside, size: bytes, range: 'second' })
    const before = await connect({ socket: server.socket })
    await before.allocate({ name: wanted.allocation, size: 2 * wanted.bytes, range: 'first' })
    await before.close()
    let memory!: StateMemory
    const take = async () => {
      memory = await StateMemory.take(broker, { ...wanted, patience }, signal)
      return true
    }
    await until(() => take().catch(() => false), 'a state of another size is left')
    const place = async () => (await broker.get(wanted.allocation)).allocation.range
    expect([await memory.settle('second', true, signal), await place()]).toEqual(['first', 'first'])
    await ram.release()
    await until(async () => (await broker.ranges()).every(one => one.scrubbingBytes === 0), 'room')
    expect([await memory.settle('second', false, signal), await place()]).toEqual(['first', 'first'])
    expect([await memory.settle('second', true, signal), await place()]).toEqual([undefined, 'second'])
    expect(memory.bytes).toBe(2 * wanted.bytes)
    memory.write(0, Buffer.from('saved'))
  } finally {
    await broker.close()
    await server.dispose()
  }
})

test('another runner that has it while it moves has the VM', async () => {
  const range = (name: string) => `[[range]]\nname = "${name}"\nsource = "memfd"\nbytes = "16MiB"\n`
  const server = await TestBroker.start({ config: range('first') + range('second') })
  const [broker, other] = [await connect({ socket: server.socket }), await connect({ socket: server.socket })]
  try {
    const { signal } = new AbortController()
    const patience = { deadline: 0, signal, onWait: () => {} }
    const memory = await StateMemory.take(broker, { ...wanted, patience }, signal)
    const allocate = broker.allocate.bind(broker)
    broker.allocate = async options => {
      await other.allocate({ name: wanted.allocation, size: wanted.bytes })
      return allocate(options)
    }
    await expect(memory.settle('second', true, signal)).rejects.toMatchObject({
      code: 'VmRuns',
      message: `vm-1 is run by process ${process.pid} already`,
    })
  } finally {
    await broker.close()
    await other.close()
    await server.dispose()
  }
})

test('it is gone where its range lacks it, not where the broker lacks its range', async () => {
  const other = '[[range]]\nname = "other"\nsource = "memfd"\nbytes = "16MiB"\n'
  const own = '[[range]]\nname = "own"\nsource = "directory"\npath = "DIRECTORY"\nbytes = "16MiB"\n'
  const server = await TestBroker.start({ config: own + other })
  const broker = await connect({ socket: server.socket, reconnect: { maxDelayMs: 20 } })
  const config = readFileSync(server.configFile, 'utf8')
  try {
    const { signal } = new AbortController()
    const patience = { deadline: 0, signal, onWait: () => {} }
    const memory = await StateMemory.take(broker, { ...wanted, range: 'own', patience }, signal)
    const restart = async (text: string) => {
      await server.kill()
      writeFileSync(server.configFile, text)
      await server.start()
    }
    expect(await memory.isGone(signal)).toBe(false)
    await restart(other)
    expect(await memory.isGone(signal)).toBe(false)
    for (const file of readdirSync(server.directory)) rmSync(path.join(server.directory, file))
    await restart(config)
    expect(await memory.isGone(signal)).toBe(true)
  } finally {
    await broker.close()
    await server.dispose()
  }
})
