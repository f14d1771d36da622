import type { Settings } from '../config/settings'
import type { Contents } from '../contents/contents'
import type { PoisonHost } from '../contents/poison'
import type { Holder } from '../lease/process'
import type { HolderScan } from '../worker/holder-scan'

/** A connection, as revocation sees it. */
interface Connection {
  readonly peer: { readonly pid: number; readonly uid: number }
  /** It hears of revoke requests. */
  readonly watching: boolean
}

/** The part of the broker that taking memory back needs. */
export interface RevocationHost extends PoisonHost {
  readonly settings: Pick<Settings, 'onDeadline'>
  readonly contents: Contents
  readonly scan: HolderScan
  readonly sessions: Iterable<Connection>
  /** The quarantine finishes later what can't finish now. */
  readonly quarantine: { checkSoon(): void }
  /** The reason why the broker refuses every change. undefined: it does not refuse. */
  readonly frozen: string | undefined
  /** @throws Refusal Frozen */
  checkThawed(): void
  sessionsOf(holder: Holder): readonly Connection[]
}
