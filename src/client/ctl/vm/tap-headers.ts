import { native } from '../../../../native'
import type { Inherited } from './qemu-process'

const keepMs = 2

/**
 * The headers of packets on tap devices, whose length a guest's driver chooses. Each QEMU sets it to its own default as it
 * starts, under the guest that runs in another one: that guest would not understand a packet any more.
 */
export class TapHeaders {
  private readonly taps: ReadonlyArray<{ readonly fd: number; readonly bytes: number }>

  constructor(taps: readonly Inherited[]) {
    this.taps = taps.flatMap(({ from: fd }) => {
      const bytes = bytesOf(fd)
      return bytes === undefined ? [] : [{ fd, bytes }]
    })
  }

  restore(): void {
    for (const { fd, bytes } of this.taps) {
      const now = bytesOf(fd)
      if (now !== undefined && now !== bytes) native.setTapHeaderBytes(fd, bytes)
    }
  }

  /** While another QEMU starts. */
  async keepDuring<T>(starting: Promise<T>): Promise<T> {
    const timer = setInterval(() => this.restore(), keepMs)
    try {
      return await starting
    } finally {
      clearInterval(timer)
      this.restore()
    }
  }
}

/** undefined: somebody has removed the device. */
function bytesOf(fd: number): number | undefined {
  try {
    return native.tapHeaderBytes(fd)
  } catch {
    return undefined
  }
}
