import { exitCode, Failure } from '../exit'

/** The guest is in its QEMU, paused, and can't go on. Nothing of it is lost. */
export class GuestStuck extends Failure {
  /** For participate(). */
  readonly staysPaused = true

  /**
   * @param reason the actor and what it does: 'QEMU does not ...'
   * @param why what went wrong before, if anything did
   */
  constructor(code: string, reason: string, why?: string) {
    const before = why === undefined ? '' : ` Before: ${why}`
    const remedy = '"broker-ctl vm resume" tries again'
    super(code, `the guest stays paused: ${reason}; ${remedy}.${before}`, exitCode.refused)
  }
}

export function refusedToGoOn({ message }: Error): string {
  return `QEMU does not let it go on (${message})`
}

export function cantUndo({ message }: Error): string {
  return `a save of it counts, or may, and can't be undone (${message})`
}
