import { native } from '../../../../native'

const retryMs = 20

/**
 * Standard output, or error, of a verb that goes on for hours. process.stdout writes into a pipe that nobody reads, or to a
 * terminal that is stopped, until somebody does, and hears no signal meanwhile; this one waits without holding anything up.
 */
export class PatientOutput {
  private readonly queue: Buffer[] = []
  private writing: Promise<void> | undefined

  constructor(private readonly stream: NodeJS.WriteStream & { readonly fd: number } = process.stdout) {}

  /** Resolves when all is written, or when the signal says that nobody waits for it. */
  write(text: string, signal: AbortSignal): Promise<void> {
    this.queue.push(Buffer.from(text))
    this.writing ??= this.drain(signal)
    return this.writing
  }

  private async drain(signal: AbortSignal): Promise<void> {
    // write() has to know of it first, so that what is written next begins another, once the last look at the queue is over.
    await undefined
    try {
      for (let first = this.queue[0]; first && !signal.aborted; first = this.queue[0]) {
        const written = this.writeSome(first)
        if (written === 0) await new Promise(resolve => setTimeout(resolve, retryMs))
        else if (written === first.length) this.queue.shift()
        else this.queue[0] = first.subarray(written)
      }
    } finally {
      this.writing = undefined
    }
  }

  private writeSome(bytes: Buffer): number {
    try {
      return native.writeNonblocking(this.stream.fd, bytes)
    } catch (error) {
      // Ends the process, as any other failure to write does.
      this.stream.emit('error', error)
      throw error
    }
  }
}
