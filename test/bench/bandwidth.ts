import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { connect } from '../../src/client'
import { percentile } from './figures'

/** Medians, in bytes a second, of a client's window and of a C program's own mmap of the same descriptor. */
export interface Bandwidth {
  window: number
  mmap: number
  /** Of the window to mmap, the median of pairs measured one right after the other. */
  ratio: number
}

type Way = 'write' | 'read'

/**
 * Fill and copy out the same memory by a window of the library and by a C program (test/lab/program/bandwidth.c), in
 * turns. Both ends are the same C library functions, memset and memcpy, reached by Buffer.fill and Buffer.copy.
 */
export async function measureBandwidth(
  socket: string,
  program: string,
  bytes: number,
  rounds: number,
): Promise<Record<Way, Bandwidth>> {
  const broker = await connect({ socket })
  const allocation = await broker.allocate({ name: 'bench/bandwidth', size: bytes })
  const mapping = await allocation.map()
  const child = spawn(program, ['3', String(mapping.mmapOffset), String(bytes)], {
    stdio: ['pipe', 'pipe', 'inherit', mapping.fd],
  })
  try {
    const window = mapping.window()
    const copy = Buffer.alloc(bytes, 1)
    const mine = (way: Way, value: number) => {
      const from = process.hrtime.bigint()
      if (way === 'write') window.fill(value & 0xff)
      else window.copy(copy)
      return Number(process.hrtime.bigint() - from)
    }
    const theirs = asker(child)
    const measure = async (way: Way): Promise<Bandwidth> => {
      const pairs: Array<{ window: number; mmap: number }> = []
      // The first rounds bring the pages in. Who is first changes: the second finds what the first has left in the caches.
      for (let round = -2; round < rounds; round++) {
        const first = round % 2 === 0 ? mine(way, round) : await theirs(way)
        const second = round % 2 === 0 ? await theirs(way) : mine(way, round)
        const pair = round % 2 === 0 ? { window: first, mmap: second } : { window: second, mmap: first }
        if (round >= 0) pairs.push(pair)
      }
      const median = (of: (pair: { window: number; mmap: number }) => number) => percentile(pairs.map(of), 50)
      return {
        window: (bytes / median(pair => pair.window)) * 1e9,
        mmap: (bytes / median(pair => pair.mmap)) * 1e9,
        ratio: median(pair => pair.mmap / pair.window),
      }
    }
    return { write: await measure('write'), read: await measure('read') }
  } finally {
    child.stdin!.end()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await allocation.release()
    await broker.close()
  }
}

function asker(child: ChildProcess): (way: Way) => Promise<number> {
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
  return async way => {
    child.stdin!.write(`${way}\n`)
    const { value, done } = await lines.next()
    if (done) throw new Error('the C program that measures bandwidth has ended')
    return Number(value)
  }
}
