import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Round } from './loop'

const MiB = 2 ** 20
/** Every so many rounds it leaves, and comes again as somebody new some time later. */
const connectEvery = 8
const newcomerMs = 50

/**
 * Allocates, maps, writes, gives back and releases, in the given ranges by turns. outcomes: what the end of one mapping of two
 * may be besides 'revoked'.
 */
function tenant(prefix: string, ranges: readonly string[], outcomes: readonly 'quarantined'[] = []): Round {
  return async (loop, round) => {
    const name = `${prefix}/${round}`
    await loop.call('Allocate', { name, bytes: MiB, range: ranges[round % ranges.length]! })
    const kept = await loop.call('CreateMapping', { name })
    const given = await loop.call('CreateMapping', { name })
    writeSync(kept.fds[0]!, 'written', 4096)
    loop.client.closeFd(given.fds[0]!)
    // That it is given back while the other is in use can't be proved by the kernel's lease: others are looked at.
    await loop.demand('RevokeMapping', { mapping: given.grant.mapping.id }, ['revoked', ...outcomes])
    loop.client.closeFd(kept.fds[0]!)
    await loop.demand('Release', { name }, ['released'])
    if (round % connectEvery !== connectEvery - 1) return
    loop.client.close()
    await sleep(newcomerMs)
    await loop.reconnect()
  }
}

/** Looks at everything. */
function administrator(): Round {
  return async loop => {
    for (const method of ['GetStatus', 'ListClients', 'ListRanges', 'ListAllocations'] as const)
      await loop.call(method, {})
    const { residentBytes } = await loop.call('GetStatistics', {})
    loop.report.residentBytesMax = Math.max(loop.report.residentBytesMax, residentBytes)
  }
}

/** Asks who is connected. */
function lookAtClients(): Round {
  return async loop => {
    await loop.call('ListClients', {})
  }
}

/** Maps what it holds, or what is shared with it, and gives it back. */
function remap(names: readonly string[]): Round {
  return async loop => {
    for (const name of names) {
      const { grant, fds } = await loop.call('CreateMapping', { name })
      loop.client.closeFd(fds[0]!)
      await loop.call('RevokeMapping', { mapping: grant.mapping.id, graceMs: 0 })
    }
  }
}

/** Maps what is shared with it, as often as it may, and keeps the mappings. */
function hoard(names: readonly string[]): Round {
  const metadata = { text: 'x'.repeat(4000) }
  return async loop => {
    for (const name of names) {
      const { fds } = await loop.client.call('CreateMapping', { name, metadata }).catch(() => ({ fds: [] }))
      for (const fd of fds) loop.client.closeFd(fd)
    }
  }
}

/** Makes so many allocations at once, and ends them. */
function churn(prefix: string, range: string, count: number, bytes: number): Round {
  return async loop => {
    const names = Array.from({ length: count }, (_, index) => `${prefix}/${index}`)
    await Promise.allSettled(names.map(name => loop.client.call('Allocate', { name, range, bytes })))
    await Promise.allSettled(names.map(name => loop.client.call('Release', { name, graceMs: 0 })))
    if (loop.client.caller.ended) await loop.reconnect()
  }
}

/** Freezes the broker with digests of all memory, and thaws it. */
function freeze(): Round {
  return async loop => {
    await loop.call('Freeze', { digests: true })
    await loop.call('Thaw', {})
  }
}

/** Revokes mappings of a holder that does not answer, and asks for the allocation's end. */
function takeBack(mappings: readonly number[]): Round {
  return async loop => {
    await Promise.allSettled(
      mappings.map(mapping => loop.client.call('RevokeMapping', { mapping, graceMs: 200 })),
    )
    if (loop.client.caller.ended) await loop.reconnect()
  }
}

export const rounds = {
  tenant,
  administrator,
  lookAtClients,
  remap,
  hoard,
  churn,
  freeze,
  takeBack,
}
