import type { Channel } from '../../../protocol/wire/channel'

/** Replies that one uid's clients have not read, and those of all; each client has a smaller limit of its own. */
const bytesOfUidMax = 64 * 2 ** 20
const bytesMax = 256 * 2 ** 20

/** Keeps account of the replies that wait for clients to read them: a thousand deaf clients must not fill the memory. */
export class OutputMeter {
  private total = 0
  private readonly ofUid = new Map<number, number>()

  /** The socket as a channel; onTooMuch when with its output the limit is passed, at most once. */
  channel(socket: Channel, uid: number, onTooMuch: () => void): Channel {
    let counted = 0
    let told = false
    const count = () => {
      const bytes = socket.queuedBytes
      if (bytes === counted) return
      this.add(uid, bytes - counted)
      counted = bytes
      if (told || bytes === 0 || !this.isTooMuch(uid)) return
      told = true
      onTooMuch()
    }
    return {
      send: (bytes, fds) => {
        socket.send(bytes, fds)
        count()
      },
      get queuedBytes() {
        count()
        return socket.queuedBytes
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close: () => {
        socket.close()
        this.add(uid, -counted)
        counted = 0
      },
    }
  }

  private isTooMuch(uid: number): boolean {
    return this.total > bytesMax || (this.ofUid.get(uid) ?? 0) > bytesOfUidMax
  }

  private add(uid: number, bytes: number): void {
    this.total += bytes
    const left = (this.ofUid.get(uid) ?? 0) + bytes
    if (left === 0) this.ofUid.delete(uid)
    else this.ofUid.set(uid, left)
  }
}
