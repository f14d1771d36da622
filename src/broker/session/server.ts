import { chmodSync, closeSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { type NativeListener, type NativeSocket, native, SystemError } from '../../../native'
import type { Channel, ChannelEvents } from '../../../protocol/wire/channel'
import { responderLimits } from '../../../protocol/wire/limits'
import { type Call, Responder } from '../../../protocol/wire/responder'
import type { Broker } from '../broker'
import { takeLockFile } from '../lock-file'
import { OutputMeter } from './output-meter'
import { type Peer, Session } from './session'

/** Pending connections the kernel keeps while the broker is busy. */
const backlog = 1024

/** Another broker listens there, the path is something else's, or anybody could take it over. */
export class SocketInUse extends Error {
  override name = 'SocketInUse'
}

/** Accepts clients, and gives each a session; one client's fault ends that client's connection only. */
export class Server {
  private listener: NativeListener | undefined
  private readonly responders = new Map<Session, Responder>()
  private readonly perUid = new Map<number, number>()
  private readonly meter = new OutputMeter()
  private paused = false

  private onCall: (session: Session, call: Call) => void = () => {}

  private constructor(
    private readonly fd: number,
    private readonly lock: number,
    /** undefined where the socket is the service manager's and stays for the next broker. */
    private readonly path: string | undefined,
    private readonly broker: Broker,
  ) {}

  /** Makes the socket, or takes over the service manager's; clients that connect wait until listen(). @throws SocketInUse */
  static bind(broker: Broker): Server {
    const { socket, socketMode } = broker.settings
    const given = broker.service?.inherited.listener
    prepareFolder(path.dirname(socket))
    const lock = takeLock(socket)
    try {
      if (given) return new Server(given.fd, lock, undefined, broker)
      removeStale(socket)
      const fd = native.listenUnix(socket, backlog)
      chmodSync(socket, socketMode)
      return new Server(fd, lock, socket, broker)
    } catch (error) {
      closeSync(lock)
      throw error
    }
  }

  listen(onCall: (session: Session, call: Call) => void): void {
    this.onCall = onCall
    this.listener = new native.Listener(
      this.fd,
      connection => this.accept(connection),
      errno => this.acceptFailed(errno),
    )
  }

  private accept(fd: number): void {
    let socket: NativeSocket | undefined
    let identity: Peer | undefined
    const { broker } = this
    const open = (events: ChannelEvents): Channel => {
      socket = new native.Socket(fd, {
        onData: events.onData,
        onEnd: errno => events.onEnd(errno === 0 ? undefined : new SystemError('recvmsg', errno)),
        onDrain: events.onDrain,
      })
      const peer = socket.peer()
      if (typeof peer === 'number') return socket
      identity = peer
      return this.meter.channel(socket, peer.uid, () => {
        broker.log.warn(
          { pid: peer.pid, uid: peer.uid },
          'a uid reads too few of its replies; a client is dropped',
        )
        setImmediate(() => responder.close())
      })
    }
    let session: Session | undefined
    const responder = new Responder(open, {
      closeFd: closeSync,
      limits: responderLimits,
      defer: setImmediate,
      onCall: call => {
        session!.calls++
        this.onCall(session!, call)
      },
      onClose: error => session && this.ended(session, error),
    })
    if (!identity) {
      broker.log.warn('a client without credentials was dropped')
      responder.close()
      return
    }
    session = new Session(identity, broker)
    const { uid, pid } = session.peer
    const { clientsMax, clientsPerUidMax } = broker.settings
    const ofUid = this.perUid.get(uid) ?? 0
    this.perUid.set(uid, ofUid + 1)
    broker.sessions.add(session)
    broker.statistics.connections++
    this.responders.set(session, responder)
    if (this.responders.size > clientsMax || (ofUid >= clientsPerUidMax && !session.isAdmin)) {
      broker.log.warn(
        { pid, uid, clients: broker.sessions.size, ofUid },
        'too many clients; this one is turned away',
      )
      responder.close()
      return
    }
    broker.log.debug({ client: session.id, pid, uid }, 'client connected')
    broker.events.emit({ kind: 'connected', uid, pid })
  }

  private ended(session: Session, error: Error | undefined): void {
    const { broker } = this
    const { pid, uid } = session.peer
    broker.sessions.delete(session)
    this.responders.delete(session)
    const left = this.perUid.get(uid)! - 1
    if (left === 0) this.perUid.delete(uid)
    else this.perUid.set(uid, left)
    if (error) broker.log.warn({ client: session.id, pid, uid, reason: error.message }, 'client dropped')
    else broker.log.debug({ client: session.id, pid, uid }, 'client disconnected')
    broker.events.emit({ kind: 'disconnected', uid, pid, ...(error && { detail: error.message }) })
    session.close()
    if (this.paused) {
      this.paused = false
      this.listener?.resume()
    }
  }

  /** Out of descriptors, mostly: those waiting wait until another client leaves. */
  private acceptFailed(errno: number): void {
    this.paused = true
    this.broker.log.error({ errno, clients: this.broker.sessions.size }, 'accepting clients failed; paused')
    setTimeout(() => {
      if (!this.paused) return
      this.paused = false
      this.listener?.resume()
    }, 1000).unref()
  }

  /** Every call has been answered or is dropped; the path goes first, so that clients wait for the next broker. */
  stop(): void {
    if (this.path !== undefined) rmSync(this.path, { force: true })
    this.listener?.close()
    for (const responder of [...this.responders.values()]) responder.close()
    closeSync(this.lock)
  }
}

/** Whoever can rename in the socket's folder can put a socket of its own there, and be told clients' secrets. */
function prepareFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const { uid, mode } = statSync(folder)
  const sticky = (mode & 0o1000) !== 0
  if ((uid !== 0 && uid !== process.getuid!()) || ((mode & 0o022) !== 0 && !sticky))
    throw new SocketInUse(`${folder}, where the socket is to be, can be written to by other users`)
}

/** Held as long as the broker lives, so that of two brokers started at once one gives way before touching the path. */
function takeLock(socket: string): number {
  const fd = takeLockFile(`${socket}.lock`)
  if (fd === undefined) throw new SocketInUse(`another broker listens on ${socket}`)
  return fd
}

function removeStale(socket: string): void {
  const stat = lstatSync(socket, { throwIfNoEntry: false })
  if (!stat) return
  if (!stat.isSocket()) throw new SocketInUse(`${socket} exists and is not a socket; nothing was touched`)
  rmSync(socket)
}
