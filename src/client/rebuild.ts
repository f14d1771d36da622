import { VarlinkError } from '../../protocol/wire/caller'
import type { MappingInfo } from './allocation'
import { Allocation, type AllocationInfo } from './allocation'
import type { ClientState } from './client-state'
import { closeAll, closeQuietly } from './descriptor'
import { BrokerError, toBrokerError, violation } from './errors'
import type { Mapping } from './mapping'
import type { CallOptions, Metadata, Verdict } from './options'
import type { In, Out } from './reply'

/** An allocation taken up again, with every mapping of this owner's that waited for it. */
export interface Claimed {
  readonly allocation: Allocation
  readonly mappings: Mapping[]
  /** The broker's verdict on its contents: intact, changed, poisoned, or unverified. */
  readonly verdict: Verdict
  /** It joined a living holder, whose place it takes by Broker.completeHandOver() or when that process exits. */
  readonly joined: boolean
}

/** An allocation that the broker did not let this process claim; it claimed the others. */
export interface NotClaimed {
  readonly name: string | undefined
  /** held: another living process holds it; refused: not with this secret; unavailable: its range can't serve it. */
  readonly outcome: 'held' | 'refused' | 'unavailable'
  readonly detail: string | undefined
}

export interface Rebuilt {
  readonly claimed: Claimed[]
  readonly notClaimed: NotClaimed[]
}

/** The outcome that a claim would have. */
export interface Claimable {
  /** In order of id. */
  readonly claimable: AllocationInfo[]
  readonly notClaimed: NotClaimed[]
}

export interface ClaimOptions extends CallOptions {
  /** The secret given at allocation, where there was one. */
  secret?: string | undefined
}

export interface TakeOverOptions extends ClaimOptions {
  /** Join the holder where another living process is that, instead of failing. Default: false */
  takeOver?: boolean | undefined
}

export interface RebuildOptions extends TakeOverOptions {
  /** Only names that begin so. Default: every allocation of this owner */
  prefix?: string | undefined
}

export interface ClaimableOptions extends RebuildOptions {
  /** Only this one; an obstacle to its claim is then an error. */
  name?: string | undefined
}

/** See Broker.claim(). */
export async function claim(state: ClientState, name: string, options: TakeOverOptions): Promise<Claimed> {
  const { secret, takeOver } = options
  const { claimed, notClaimed } = await collect(state, { name, secret, takeOver }, options)
  const [first] = claimed
  if (first) return first
  throw refusal(name, notClaimed[0])
}

/** See Broker.rebuild(). */
export function rebuild(state: ClientState, options: RebuildOptions): Promise<Rebuilt> {
  const { prefix = '', secret, takeOver } = options
  return collect(state, { prefix, secret, takeOver }, options)
}

/** See Broker.claimable(). */
export async function claimable(
  { link }: ClientState,
  { name, prefix = '', secret, takeOver, signal }: ClaimableOptions,
): Promise<Claimable> {
  const which = name === undefined ? { prefix } : { name }
  const found: Claimable = { claimable: [], notClaimed: [] }
  for (const out of await link.rows('Claim', { ...which, secret, takeOver, dryRun: true }, signal)) {
    if (out.outcome === 'claimable' && out.allocation) found.claimable.push(out.allocation)
    else if (isLeft(out.outcome)) found.notClaimed.push(left(out, out.outcome))
  }
  return found
}

async function collect(state: ClientState, parameters: In<'Claim'>, options: ClaimOptions): Promise<Rebuilt> {
  const claimed = new Map<number, Claimed>()
  const notClaimed: NotClaimed[] = []
  try {
    await state.prepare(undefined, options.signal)
    // What this process claimed already it may claim again.
    await state.link.persist('Claim', 'settle', options.signal, giveUpAt => {
      notClaimed.length = 0
      return pass(state, parameters, options, giveUpAt, claimed, notClaimed)
    })
    if (state.claimCutOff) for (const one of claimed.values()) await regrant(state, one, options)
    return { claimed: [...claimed.values()], notClaimed }
  } catch (error) {
    // A caller that gets an error gets no objects: the earlier ones must not stay open unseen. The next claim makes them anew.
    if (claimed.size > 0) state.claimCutOff = true
    for (const { mappings } of claimed.values()) for (const { id } of mappings) state.abandon(id)
    throw toBrokerError(error, 'Claim')
  }
}

/** One Claim call. */
async function pass(
  state: ClientState,
  parameters: In<'Claim'>,
  options: ClaimOptions,
  giveUpAt: number,
  claimed: Map<number, Claimed>,
  notClaimed: NotClaimed[],
): Promise<void> {
  try {
    for await (const { out, fds } of state.link.replies('Claim', parameters, options.signal, giveUpAt)) {
      if (out.outcome === 'claimed' || out.outcome === 'joined')
        merge(claimed, await takeUp(state, out, fds, options))
      else {
        closeAll(fds)
        if (isLeft(out.outcome)) notClaimed.push(left(out, out.outcome))
      }
    }
  } catch (error) {
    // Anything but a refusal may have cut replies off.
    if (!(error instanceof VarlinkError)) state.claimCutOff = true
    throw error
  }
}

function merge(all: Map<number, Claimed>, next: Claimed): void {
  const { id } = next.allocation.info
  const known = all.get(id)
  if (known)
    known.mappings.push(...next.mappings.filter(({ id }) => known.mappings.every(one => one.id !== id)))
  else all.set(id, next)
}

/**
 * A claim that was cut off may have granted mappings whose descriptors never arrived. For the broker this process
 * holds them, so claiming again does not bring them: each is made once more, and the unreachable one ended.
 */
async function regrant(
  state: ClientState,
  { allocation, mappings, joined }: Claimed,
  { signal }: ClaimOptions,
): Promise<void> {
  // Where the allocation is only shared with this process, its holder is another one; but such a claim brings a mapping.
  const [granted] = mappings
  const own = granted ? granted.info.pid : joined ? allocation.info.successorPid : allocation.info.holderPid
  for (const info of await allocation.refresh({ signal })) {
    if (info.state !== 'held' || info.pid !== own || state.isHere(info.id)) continue
    const made = await mapAgain(allocation, info, signal).catch(async error => {
      if (!isLimit(error)) throw error
      await state.tell(info.id, signal)
    })
    mappings.push(made ?? (await mapAgain(allocation, info, signal)))
    if (made) await state.tell(info.id, signal)
  }
}

function mapAgain(
  allocation: Allocation,
  info: MappingInfo,
  signal: AbortSignal | undefined,
): Promise<Mapping> {
  const { offset, length, access } = info
  const guestAddress = info.guestAddress ?? undefined
  const metadata = (info.metadata as Metadata | null | undefined) ?? undefined
  return allocation.map({ offset, length, access, guestAddress, metadata, signal })
}

/** The unreachable mapping may take the place that the new one needs. */
function isLimit(error: unknown): boolean {
  return error instanceof BrokerError && (error.code === 'LimitExceeded' || error.code === 'QuotaExceeded')
}

async function takeUp(
  state: ClientState,
  out: Out<'Claim'>,
  fds: readonly number[],
  { secret, signal }: ClaimOptions,
): Promise<Claimed> {
  if (!out.allocation) {
    closeAll(fds)
    throw violation('Claim', 'it claims, but names no allocation')
  }
  // A repeated take-over grants again what this process got before.
  const fresh = out.grants.filter(({ mapping }) => !state.revokes.has(mapping))
  for (const grant of out.grants) if (!fresh.includes(grant)) closeQuietly(fds[grant.fileDescriptor]!)
  return {
    allocation: new Allocation(state, out.allocation, secret),
    mappings: await state.adopt(out.allocation.range, fresh, fds, signal),
    verdict: out.allocation.verdict,
    joined: out.outcome === 'joined',
  }
}

function isLeft(outcome: Out<'Claim'>['outcome']): outcome is NotClaimed['outcome'] {
  return outcome === 'held' || outcome === 'refused' || outcome === 'unavailable'
}

function left(out: Out<'Claim'>, outcome: NotClaimed['outcome']): NotClaimed {
  return { name: out.allocation?.name, outcome, detail: out.detail ?? undefined }
}

function refusal(name: string, why: NotClaimed | undefined): BrokerError {
  const parameters = { name, ...(why?.detail === undefined ? {} : { reason: why.detail }) }
  const because = why?.detail === undefined ? '' : `: ${why.detail}`
  const quoted = JSON.stringify(name)
  if (!why)
    return new BrokerError('NotFound', `there is no allocation ${quoted} that you may claim`, { parameters })
  if (why.outcome === 'held') {
    return new BrokerError('AlreadyClaimed', `another living process holds ${quoted}${because}`, {
      parameters,
    })
  }
  if (why.outcome === 'refused') {
    return new BrokerError('PermissionDenied', `the broker refused the claim of ${quoted}${because}`, {
      parameters,
    })
  }
  return new BrokerError('SourceFailed', `${quoted} is not available now${because}`, { parameters })
}
