import type { AnswerUpdateIn, JoinUpdatesOut } from '../../../protocol/generated/broker'
import type { Call } from '../../../protocol/wire/responder'
import type { Session } from '../session/session'

export type Notice = Omit<JoinUpdatesOut, 'participant'>

/** Its answer to the update under way. */
interface Answer {
  readonly outcome: AnswerUpdateIn['outcome']
  readonly detail: string | null
  readonly staysPaused: boolean
  readonly afterMs: number
}

/** A process that takes part in updates: as long as its call, and longer while an update remembers it. */
export class Participant {
  /** undefined: none yet, or there is no update. */
  answer: Answer | undefined
  hasLeft = false
  private due: (() => Notice) | undefined
  private isSlow = false

  constructor(
    readonly id: number,
    readonly name: string,
    readonly session: Session,
    private readonly call: Call,
  ) {
    call.onDrain(() => {
      this.isSlow = false
      this.sendDue()
    })
  }

  get uid(): number {
    return this.session.uid
  }

  /** Nobody waits for it to read. Of what it has not taken yet only the newest is kept, which says all. */
  tell(notice: () => Notice): void {
    this.due = notice
    if (!this.isSlow) this.sendDue()
  }

  private sendDue(): void {
    const { due } = this
    if (!due) return
    this.due = undefined
    this.isSlow = !this.call.replyMore({ ...due(), participant: this.id } satisfies JoinUpdatesOut)
  }
}
