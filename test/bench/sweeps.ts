import { closeSync, ftruncateSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Digest, memfdCreate, Scrub } from '../../native'
import { buildLibrary } from '../guest/build'
import { inTurns, type Report, rowOf } from './rounds'

/** Zeroing and digesting of the same memory, on all cores, beside the quickest fill and read in C. Nanoseconds. */
export async function measureSweeps(bytes: number, rounds: number, report: Report): Promise<void> {
  const path = buildLibrary('test/bench/sweeps.c')
  if (!path) throw new Error('the sweeps need a C compiler')
  const { DataType, load, open } = require('ffi-rs') as typeof import('ffi-rs')
  const { I32, U64 } = DataType
  open({ library: 'sweeps', path })
  const threads = availableParallelism()
  const fd = memfdCreate('bench', { hugePageBytes: 0, allowSealing: false })
  ftruncateSync(fd, bytes)
  const inC = (write: boolean) => () => {
    const paramsType = [I32, U64, I32, I32]
    const paramsValue = [fd, bytes, write ? 1 : 0, threads]
    const took = load({ library: 'sweeps', funcName: 'sweeps_pass', retType: U64, paramsType, paramsValue })
    if (took === 0) throw new Error('the C sweep failed')
    return took
  }
  const ours = (Sweep: typeof Scrub | typeof Digest) => async () => {
    const from = process.hrtime.bigint()
    const errno = await new Sweep(fd, 0, bytes, threads).errno
    if (errno !== 0) throw new Error(`the sweep failed: ${errno}`)
    return Number(process.hrtime.bigint() - from)
  }
  try {
    inC(true)()
    const times = await inTurns(rounds, {
      scrub: ours(Scrub),
      fill: inC(true),
      digest: ours(Digest),
      read: inC(false),
    })
    const size = `${bytes / 2 ** 20} MiB on ${threads} threads`
    report(rowOf(`scrub ${size}`, times.scrub, { 'a non-temporal fill in C': times.fill }))
    report(rowOf(`digest ${size}`, times.digest, { 'a read in C': times.read }))
  } finally {
    closeSync(fd)
  }
}
