import { native } from '../../../../native'
import type { Inherited } from './launcher'

const keepMs = 2

/**
 * What a guest's driver has set on tap devices, by its QEMU: the length of packets' headers, and offloads. Each QEMU sets its own defaults as it starts, under the guest that runs in another one: that guest
 * would not understand a packet any more, and without offloads its network would be slower.
 */
export class TapSettings {
  /** undefined: that can't be known. */
  private readonly taps: ReadonlyArray<{
    readonly fd: number
    readonly headerBytes: number | undefined
    readonly offloads: number | undefined
  }>

  constructor(taps: readonly Inherited[]) {
    this.taps = taps.map(({ from: fd }) => ({
      fd,
      headerBytes: known(native.tapHeaderBytes, fd),
      offloads: known(native.tapOffloads, fd),
    }))
  }

  restore(): void {
    this.restoreHeaders()
    for (const { fd, offloads } of this.taps) {
      if (offloads !== undefined && known(native.tapOffloads, fd) !== offloads)
        known(() => native.setTapOffloads(fd, offloads), fd)
    }
  }

  /** While another QEMU starts. */
  async keepDuring<T>(starting: Promise<T>): Promise<T> {
    const timer = setInterval(() => this.restoreHeaders(), keepMs)
    try {
      return await starting
    } finally {
      clearInterval(timer)
      this.restore()
    }
  }

  private restoreHeaders(): void {
    for (const { fd, headerBytes } of this.taps) {
      const now = known(native.tapHeaderBytes, fd)
      if (headerBytes !== undefined && now !== undefined && now !== headerBytes)
        native.setTapHeaderBytes(fd, headerBytes)
    }
  }
}

/** undefined: somebody has removed the device. */
function known<T>(ask: (fd: number) => T, fd: number): T | undefined {
  try {
    return ask(fd)
  } catch {
    return undefined
  }
}
