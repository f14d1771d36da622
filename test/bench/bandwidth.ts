import { connect } from '../../src/client'

/** The best passes, in bytes a second: over a window of the client library, and over a C program's own mmap. */
interface Bandwidth {
  window: number
  mmap: number
  /** Of the window to mmap. */
  ratio: number
}

/**
 * Fill and copy out the same memory of one descriptor by way of a window of the library and by way of a plain mmap, in
 * turns, with the same compiled code (bandwidth.c, built as a library): what is compared is the mapping, and neither the
 * code that uses it nor the process it is in. The best pass counts, because a pass can only be made slower by others.
 */
export async function measureBandwidth(
  socket: string,
  library: string,
  bytes: number,
  rounds: number,
): Promise<Record<'write' | 'read', Bandwidth>> {
  const code = openLibrary(library)
  const broker = await connect({ socket })
  const allocation = await broker.allocate({ name: 'bench/bandwidth', size: bytes })
  const mapping = await allocation.map()
  const window = Number(mapping.addressOf(mapping.window()))
  const mmap = code.map(mapping.fd, mapping.mmapOffset, bytes)
  const measure = (write: boolean): Bandwidth => {
    const best = new Map([window, mmap].map(address => [address, Number.POSITIVE_INFINITY]))
    // The first rounds bring the pages in. Who is first changes: the second finds what the first has left in the caches.
    for (let round = -2; round < rounds; round++)
      for (const address of round % 2 === 0 ? [window, mmap] : [mmap, window]) {
        const took = code.pass(write, address, bytes, round & 0xff)
        if (round >= 0) best.set(address, Math.min(best.get(address)!, took))
      }
    const rate = (address: number) => (bytes / best.get(address)!) * 1e9
    return { window: rate(window), mmap: rate(mmap), ratio: rate(window) / rate(mmap) }
  }
  try {
    return { write: measure(true), read: measure(false) }
  } finally {
    code.unmap(mmap, bytes)
    await allocation.release()
    await broker.close()
  }
}

/** Addresses are numbers: a process has 47 bits of them. */
function openLibrary(path: string) {
  const { DataType, load, open } = require('ffi-rs') as typeof import('ffi-rs')
  const { I32, U64, Void } = DataType
  const library = 'bandwidth'
  open({ library, path })
  return {
    map(fd: number, offset: number, bytes: number): number {
      const paramsType = [I32, U64, U64]
      const paramsValue = [fd, offset, bytes]
      const address = load({ library, funcName: 'bandwidth_map', retType: U64, paramsType, paramsValue })
      if (address === 0) throw new Error('the C program could not map the memory')
      return address
    },
    unmap(address: number, bytes: number): void {
      const paramsValue = [address, bytes]
      load({ library, funcName: 'bandwidth_unmap', retType: Void, paramsType: [U64, U64], paramsValue })
    },
    /** Nanoseconds. */
    pass(write: boolean, address: number, bytes: number, value: number): number {
      const paramsType = [I32, U64, U64, I32]
      const paramsValue = [write ? 1 : 0, address, bytes, value]
      const took = load({ library, funcName: 'bandwidth_pass', retType: U64, paramsType, paramsValue })
      if (took === 0) throw new Error('there is no memory to copy to')
      return took
    },
  }
}
