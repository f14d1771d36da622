import { KiB, MiB } from '../../../protocol/units'
import type { Channel } from '../../../protocol/wire/channel'
import { fdsPerMessageMax, outputBytesMax, outputFdsMax } from '../../../protocol/wire/limits'
import { Budget } from './budget'

/** Each connection may hold so many bytes whatever others of its party hold: one read, grown once. */
const heldBytesGranted = 16 * KiB

/**
 * The broker keeps three things for a connection: replies that the peer has not read, the descriptors of those, and calls that
 * wait for their turn. A thousand deaf clients must not fill the memory, nor the table of descriptors.
 */
export class ConnectionBudgets {
  readonly output = new Budget({ ofAll: 512 * MiB, ofOne: 64 * MiB, granted: 2 * outputBytesMax })
  readonly calls = new Budget({ ofAll: 256 * MiB, ofOne: 64 * MiB, granted: MiB })
  readonly descriptors: Budget

  /** descriptorsMax: so many descriptors may wait in replies. */
  constructor(descriptorsMax: number) {
    const granted = fdsPerMessageMax + outputFdsMax
    this.descriptors = new Budget({ ofAll: descriptorsMax, ofOne: descriptorsMax / 2, granted })
  }

  /**
   * Returns the channel of one of the party's connections. It calls onTooMuch, at most once, when the channel's output exceeds
   * a budget.
   */
  metered(channel: Channel, party: number, onTooMuch: () => void): Channel {
    const { output, descriptors } = this
    let counted = { bytes: 0, fds: 0 }
    let exceeded = false
    const count = (queuedBytes: number, queuedFds: number) => {
      if (queuedBytes !== counted.bytes) output.use(party, queuedBytes - counted.bytes)
      if (queuedFds !== counted.fds) descriptors.use(party, queuedFds - counted.fds)
      counted = { bytes: queuedBytes, fds: queuedFds }
      if (exceeded || queuedBytes === 0) return
      if (!output.isOver(party) && (queuedFds === 0 || !descriptors.isOver(party))) return
      exceeded = true
      onTooMuch()
    }
    /** Nearly always the queue is empty; then this is all the work. */
    const update = () => {
      const queued = channel.queuedBytes
      if (queued > 0 || counted.bytes > 0) count(queued, queued > 0 ? channel.queuedFds : 0)
      return queued
    }
    return {
      send: (message, attached) => {
        channel.send(message, attached)
        update()
      },
      get queuedBytes() {
        return update()
      },
      get queuedFds() {
        return channel.queuedFds
      },
      pause: () => channel.pause(),
      resume: () => channel.resume(),
      close: () => {
        channel.close()
        count(0, 0)
      },
    }
  }

  /** Counts the kept calls of one of the party's connections, and says whether the broker may keep more. */
  held(party: number): (bytes: number) => boolean {
    let counted = 0
    return bytes => {
      this.calls.use(party, bytes - counted)
      counted = bytes
      return bytes <= heldBytesGranted || !this.calls.isOver(party)
    }
  }
}
