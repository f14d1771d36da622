import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { now, type Timed } from './timed'

const everyMs = 10
const workMs = 1
/** What is quicker tells nothing. */
const latencyMsMin = 5

/** The control: as the broker it runs an event loop, and does a little work for each question; it does nothing else. */
export function serveControl(socket: string): Promise<Server> {
  const server = createServer(peer => {
    peer.on('error', () => {})
    peer.on('data', bytes => {
      const end = now() + workMs
      while (now() < end);
      peer.write(bytes)
    })
  })
  rmSync(socket, { force: true })
  return new Promise(resolve =>
    server.listen(socket, () => {
      chmodSync(socket, 0o777)
      resolve(server)
    }),
  )
}

/** Asks the control over and over, and notes how long each answer took. */
export class Pings {
  private readonly peer: Socket
  private readonly timer: NodeJS.Timeout
  private asked: number | undefined

  constructor(
    socket: string,
    private readonly noted: Timed[],
  ) {
    this.peer = connect(socket)
    this.peer.on('error', () => {})
    this.peer.on('data', () => this.answered())
    this.timer = setInterval(() => this.ask(), everyMs)
  }

  stop(): void {
    clearInterval(this.timer)
    if (this.asked !== undefined) this.answered()
    this.peer.destroy()
  }

  private ask(): void {
    if (this.asked !== undefined) return
    this.asked = now()
    this.peer.write('x')
  }

  private answered(): void {
    const to = now()
    if (this.asked !== undefined && to - this.asked >= latencyMsMin)
      this.noted.push({ what: 'control', from: this.asked, to })
    this.asked = undefined
  }
}
