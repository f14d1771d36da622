/**
 * The quick start's in-memory database: a client like anybody's, in a process of its own.
 *   fill BYTES   allocates, fills the memory with a pattern, then keeps a heartbeat in its first page until killed
 *   rebuild      claims the memory again and compares every byte
 * Says what it does on standard output, one JSON object a line.
 */
import { connect, MiB } from '../../src/client'

const window = 4 * MiB
const heartbeatBytes = 4096
const name = 'database/cache'

const say = (event: string, more: object = {}) => console.log(JSON.stringify({ event, ...more }))

/** Every 4-byte word is a number of its own, so that a page in the wrong place shows. */
function expectedWord(index: number): number {
  return Math.imul(index + 1, 2654435761) >>> 0
}

async function fill(size: number): Promise<void> {
  const broker = await connect()
  broker.on('disconnected', () => say('disconnected'))
  broker.on('reconnected', status => say('reconnected', { brokerPid: status.pid }))
  const memory = await broker.allocate({ name, size, metadata: { format: 'quickstart' } })
  const mapping = await memory.map({ metadata: { role: 'cache' } })
  for (let offset = 0; offset < size; offset += window) {
    const bytes = mapping.window({ offset, length: window })
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, window / 4)
    for (let i = 0; i < words.length; i++) words[i] = expectedWord(offset / 4 + i)
  }
  const heartbeat = mapping.window({ offset: 0, length: heartbeatBytes })
  let beats = 0
  heartbeat.writeUInt32LE(beats)
  say('filled', { bytes: size })
  setInterval(() => {
    heartbeat.writeUInt32LE(++beats)
    if (beats % 20 === 0) say('beat', { beats })
  }, 5)
}

async function rebuild(): Promise<void> {
  const broker = await connect()
  const { claimed, notClaimed } = await broker.rebuild({ prefix: 'database/' })
  const [first] = claimed
  if (!first || claimed.length !== 1 || notClaimed.length > 0)
    throw new Error('the allocation did not come back')
  const [mapping] = first.mappings
  if (!mapping) throw new Error('the mapping did not come back')
  const size = first.allocation.size
  let wrong = 0
  for (let offset = 0; offset < size; offset += window) {
    const bytes = mapping.window({ offset, length: window, writable: false })
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, window / 4)
    for (let i = offset === 0 ? heartbeatBytes / 4 : 0; i < words.length; i++)
      if (words[i] !== expectedWord(offset / 4 + i)) wrong++
  }
  const beats = mapping.window({ offset: 0, length: 4, writable: false }).readUInt32LE()
  say('rebuilt', { bytes: size, wrong, beats, metadata: first.allocation.info.metadata })
  await first.allocation.release()
  await broker.close()
}

const [, , mode, bytes] = process.argv
const done = mode === 'rebuild' ? rebuild() : fill(Number(bytes))
done.catch(error => {
  console.error(`database: ${error.stack}`)
  process.exit(1)
})
