/**
 * A database of one process over the store, as small as it can be:
 *   database fill KEYS SNAPSHOT   KEYS records, and a snapshot of them in a file; then goes on writing until it is killed
 *   database open                 the same data, found in memory
 *   database load SNAPSHOT        the same data, read from the file into a Map
 * Prints lines of JSON.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { type Allocation, type Broker, BrokerError, connect, type Mapping, MiB } from 'membroker'
import { Store } from './store'

const name = 'example/database'
const valueBytes = 100
const recordBytes = 136
/** A record is written anew with each change; what is no more used is not collected. */
const changesMax = 50_000

const keyOf = (index: number) => `user:${index}`
/** Not by process.stdout, which would make a pipe non-blocking. */
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`)

/** What a record must hold, from its key and how often it was written. */
function recordOf(key: string, version: number): Buffer {
  const value = Buffer.alloc(valueBytes, key)
  value.writeUInt32LE(version, 0)
  return value
}

/** The memory of the process before this one, or new memory where there is none. */
async function memoryFor(broker: Broker, keys: number | undefined): Promise<Mapping> {
  const [allocation, mapping] = await claimed(broker).catch(async error => {
    if (!(error instanceof BrokerError && error.code === 'NotFound') || keys === undefined) throw error
    const size = Math.ceil((slotsFor(keys) * 4 + (keys + changesMax) * recordBytes) / MiB + 1) * MiB
    return [await broker.allocate({ name, size })] as const
  })
  return mapping ?? allocation.map()
}

async function claimed(broker: Broker): Promise<readonly [Allocation, Mapping?]> {
  const { allocation, mappings } = await broker.claim(name)
  return mappings[0] ? [allocation, mappings[0]] : [allocation]
}

/** A power of two with room for so many keys. */
function slotsFor(keys: number): number {
  return 2 ** Math.ceil(Math.log2(keys * 1.5 + 16))
}

async function fill(keys: number, snapshot: string): Promise<never> {
  const broker = await connect()
  const store = Store.open((await memoryFor(broker, keys)).window(), slotsFor(keys))
  for (let index = 0; index < keys; index++) {
    const key = keyOf(index)
    store.set(key, recordOf(key, 0))
  }
  writeSnapshot(store, snapshot)
  say({ filled: keys })
  // What has been said is written is there after the next line, whatever happens.
  for (let version = 1; ; version++) {
    const key = keyOf(version % keys)
    store.set(key, recordOf(key, version))
    say({ key, version })
  }
}

/** As a database does that has its data on the heap: everything into one file. */
function writeSnapshot(store: Store, file: string): void {
  const fd = openSync(file, 'w')
  let parts: Buffer[] = []
  for (const [key, value] of store.entries()) {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(Buffer.byteLength(key), 0)
    head.writeUInt32LE(value.length, 4)
    parts.push(head, Buffer.from(key), value)
    if (parts.length < 10_000) continue
    writeSync(fd, Buffer.concat(parts))
    parts = []
  }
  writeSync(fd, Buffer.concat(parts))
  closeSync(fd)
}

function readSnapshot(file: string): Map<string, Buffer> {
  const bytes = readFileSync(file)
  const data = new Map<string, Buffer>()
  for (let at = 0; at < bytes.length; ) {
    const keyEnd = at + 8 + bytes.readUInt32LE(at)
    const valueEnd = keyEnd + bytes.readUInt32LE(at + 4)
    data.set(bytes.toString('utf8', at + 8, keyEnd), bytes.subarray(keyEnd, valueEnd))
    at = valueEnd
  }
  return data
}

/** From the start of the process to the first answer; then every record is looked at. */
function check(get: (key: string) => Buffer | undefined): void {
  const first = get(keyOf(0))?.length === valueBytes
  const milliseconds = performance.now()
  let keys = 0
  let wrong = first ? 0 : 1
  const versions: Record<string, number> = {}
  for (let value = get(keyOf(0)); value !== undefined; value = get(keyOf(++keys))) {
    const version = value.readUInt32LE(0)
    if (version > 0) versions[keyOf(keys)] = version
    if (!value.equals(recordOf(keyOf(keys), version))) wrong++
  }
  say({ milliseconds, keys, wrong, versions })
}

async function main([verb, first, second]: string[]): Promise<void> {
  if (verb === 'fill' && first !== undefined && second !== undefined) return fill(Number(first), second)
  if (verb === 'load' && first !== undefined) {
    const data = readSnapshot(first)
    return check(key => data.get(key))
  }
  if (verb !== 'open') throw new Error('database fill KEYS SNAPSHOT | open | load SNAPSHOT')
  const broker = await connect()
  const store = Store.open((await memoryFor(broker, undefined)).window(), 0)
  check(key => store.get(key))
  await broker.close()
}

main(process.argv.slice(2)).catch((error: Error) => {
  console.error(`database: ${error.message}`)
  process.exit(1)
})
