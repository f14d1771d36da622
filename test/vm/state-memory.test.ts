/** Proves that the memory of a saved guest is usable again after whatever has kept it from growing. */
import { MiB } from '../../protocol/units'
import { connect } from '../../src/client'
import { StateMemory } from '../../src/client/ctl/vm/state-memory'
import { TestBroker } from '../support/test-broker'

test('a growth that a frozen broker refuses can be made up for later', async () => {
  const server = await TestBroker.start()
  const broker = await connect({ socket: server.socket })
  try {
    const { signal } = new AbortController()
    const patience = { deadline: 0, signal, onWait: () => {} }
    const options = { allocation: 'vm-1.state', bytes: MiB, range: undefined, secret: undefined, patience }
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
