import { exitCode, Failure } from '../exit'
import { staysPaused } from '../update/stays-paused'

/** The guest is in its QEMU, paused, and can't go on. Nothing of it is lost. */
export class GuestStuck extends Failure {
  /**
   * @param reason the actor and what it does: 'QEMU does not ...'
   * @param why what went wrong before, if anything did
   */
  constructor(code: string, reason: string, why?: string) {
    const before = why === undefined ? '' : ` Before: ${why}`
    const remedy = '"broker-ctl vm resume" tries again'
    super(code, `${staysPaused}: ${reason}; ${remedy}.${before}`, exitCode.refused)
  }
}
