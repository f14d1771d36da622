import { exitCode, Failure } from '../exit'
import { staysPaused } from '../update/stays-paused'

/** The guest is in its QEMU, paused, and that does not let it go on. Nothing of it is lost, and nothing of it is saved. */
export class GuestStuck extends Failure {
  /** @param why what went wrong before, if anything did */
  constructor(code: string, reason: string, why?: string) {
    const before = why === undefined ? '' : ` Before: ${why}`
    const remedy = '"broker-ctl vm resume" tries again'
    super(
      code,
      `${staysPaused}: QEMU does not let it go on (${reason}); ${remedy}.${before}`,
      exitCode.refused,
    )
  }
}
