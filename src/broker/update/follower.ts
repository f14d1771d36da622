import type { BeginUpdateOut } from '../../../protocol/generated/broker'
import { participantRowsMax } from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import type { Participant } from './participant'

/** A call that follows an update. Each reply has the changes since the one before, and none is sent faster than the caller reads. */
export class Follower {
  private readonly changed: Set<Participant>
  private isDue = true
  private isSlow = false
  private isScheduled = false

  constructor(
    private readonly call: Call,
    participants: Iterable<Participant>,
    private readonly view: (participants: Participant[]) => BeginUpdateOut,
  ) {
    this.changed = new Set(participants)
    call.onDrain(() => {
      this.isSlow = false
      this.send()
    })
    this.send()
  }

  /** participants: who has changed; none: the update itself has. */
  note(...participants: Participant[]): void {
    for (const participant of participants) this.changed.add(participant)
    this.isDue = true
    if (this.isScheduled) return
    this.isScheduled = true
    // Not at once: whoever made the change gets its reply first, and many answers come together.
    setImmediate(() => {
      this.isScheduled = false
      this.send()
    })
  }

  /** A participant has come back in its place. */
  forget(participant: Participant): void {
    this.changed.delete(participant)
  }

  end(out: BeginUpdateOut): void {
    this.isDue = false
    this.changed.clear()
    this.call.reply(out)
  }

  private send(): void {
    while (!this.isSlow && this.isDue && !this.call.ended) {
      const batch: Participant[] = []
      for (const participant of this.changed) {
        if (batch.length === participantRowsMax) break
        batch.push(participant)
        this.changed.delete(participant)
      }
      this.isDue = this.changed.size > 0
      this.isSlow = !this.call.replyMore(this.view(batch))
    }
  }
}
