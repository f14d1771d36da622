import { chmodSync, closeSync, lstatSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { type NativeListener, native, SystemError } from '../../../native'
import { takeLockFile } from '../../../native/lock-file'
import { makeFolder } from '../../../native/make-folder'
import type { Channel, ChannelEvents } from '../../../protocol/wire/channel'
import { responderLimits } from '../../../protocol/wire/limits'
import { type Call, Responder } from '../../../protocol/wire/responder'
import type { Settings } from '../config/settings'
import { isEnvironment } from '../failure'
import type { Logger } from '../log/log'
import type { ServiceManager } from '../service/service-manager'
import type { Inventory } from '../state/inventory'
import type { Statistics } from '../statistics'
import type { Events } from './events'
import { ConnectionBudgets } from './metered-channel'
import { type Place, type PlaceLimits, Places } from './places'
import { type Peer, Session, type SessionHost } from './session'
import type { Turns } from './turns'

/** The kernel keeps so many pending connections while the broker is busy. */
const backlog = 1024

/** All replies that clients have not read yet have so many descriptors at most, if the broker may open that many. */
const repliesFdsMax = 8192

/** A number that is no uid; it counts for all uids without rights. */
const strangers = -1

/** How many descriptors this process may have open. */
const descriptorsMax = (() => {
  const [, soft] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
  return soft === 'unlimited' ? Infinity : Number(soft)
})()

/** Another broker listens there, the path belongs to something else, or anybody could take it over. */
export class SocketInUse extends Error {
  override name = 'SocketInUse'
}

/** The part of the broker that serving clients needs. */
interface ServerHost extends SessionHost {
  readonly settings: Settings
  readonly service?: Pick<ServiceManager, 'inherited'> | undefined
  readonly inventory: Inventory
  readonly log: Logger
  readonly sessions: Set<Session>
  readonly events: Events
  readonly turns: Turns
  readonly statistics: Statistics
}

/** Accepts clients, and gives each a session; one client's fault ends that client's connection only. */
export class Server {
  private listener: NativeListener | undefined
  private readonly responders = new Map<Session, Responder>()
  private readonly places = new Places()
  private readonly budgets = new ConnectionBudgets(Math.min(repliesFdsMax, descriptorsMax / 8))
  /** A client needs a socket and a pidfd. The rest is for memory, proofs and holders. */
  private readonly clientsMax = Math.floor((descriptorsMax * 3) / 4 / 2)
  private lessened: { of: Settings; limits: PlaceLimits } | undefined
  private turnedAway = 0
  private paused = false

  private onCall: (session: Session, call: Call) => void = () => {}

  private constructor(
    private readonly fd: number,
    private readonly lock: number,
    /** undefined where the socket is the service manager's, and stays for the next broker. */
    private readonly path: string | undefined,
    private readonly broker: ServerHost,
  ) {}

  /** Makes the socket, or takes over the service manager's; clients that connect wait until listen(). @throws SocketInUse */
  static bind(broker: ServerHost): Server {
    const { socket, socketMode } = broker.settings
    const given = broker.service?.inherited.listener
    prepareFolder(path.dirname(socket))
    // If two brokers start at once, one gives way before it touches the path.
    const lock = takeLockFile(`${socket}.lock`, () => new SocketInUse(`another broker listens on ${socket}`))
    try {
      if (given) return new Server(given.fd, lock, undefined, broker)
      removeStale(socket)
      const fd = native.listenUnix(socket, backlog)
      try {
        chmodSync(socket, socketMode)
      } catch (error) {
        closeSync(fd)
        throw error
      }
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

  /** Closes a connection without a place before it makes anything for it. */
  private accept(fd: number): void {
    const { places } = this
    let place: Place | undefined
    let own: number | undefined = fd
    try {
      const uid = native.peerUid(fd)
      places.setLimits(this.limits())
      place = places.take(uid, this.isStranger(uid))
      own = undefined
      if (place) this.welcome(fd, place)
      else this.turnAway(fd, uid)
    } catch (error) {
      if (own !== undefined) closeSync(own)
      if (!isEnvironment(error)) throw error
      if (place) places.giveBack(place)
      this.listener?.pause()
      this.acceptFailed((error as NodeJS.ErrnoException).errno)
    }
  }

  /** Adopts fd. @throws SystemError: it has made nothing of fd */
  private welcome(fd: number, place: Place): void {
    const { broker } = this
    const session = new Session(peerOf(fd), broker)
    const { uid, pid } = session.peer
    let responder: Responder
    try {
      responder = this.respond(fd, session, place)
    } catch (error) {
      session.close()
      throw error
    }
    broker.sessions.add(session)
    broker.statistics.connections++
    this.responders.set(session, responder)
    broker.log.debug({ client: session.id, pid, uid }, 'client connected')
    broker.events.emit({ kind: 'connected', uid, pid })
  }

  /** Adopts fd. @throws SystemError */
  private respond(fd: number, session: Session, place: Place): Responder {
    const { broker, budgets } = this
    const { uid, pid } = session.peer
    const partyOf = () => (this.isStranger(uid) ? strangers : uid)
    const party = partyOf()
    const open = (events: ChannelEvents): Channel => {
      const socket = new native.Socket(fd, {
        onData: events.onData,
        onEnd: errno => events.onEnd(errno === 0 ? undefined : new SystemError('recvmsg', errno)),
        onFinish: events.onFinish!,
        onDrain: events.onDrain,
      })
      return budgets.metered(socket, party, () => {
        broker.log.warn({ pid, uid }, 'a uid reads too few of its replies; a client is dropped')
        setImmediate(() => responder.close())
      })
    }
    const responder = new Responder(open, {
      closeFd: closeSync,
      limits: responderLimits,
      turns: broker.turns.of(partyOf),
      onHeld: budgets.held(party),
      onCall: call => {
        session.calls++
        this.onCall(session, call)
      },
      onClose: error => this.ended(session, place, error),
    })
    return responder
  }

  /** Logs once a second: it may turn away thousands in that time. */
  private turnAway(fd: number, uid: number): void {
    closeSync(fd)
    if (this.turnedAway++ > 0) return
    setTimeout(() => {
      this.broker.log.warn(
        { uid, clients: this.responders.size, turnedAway: this.turnedAway },
        'too many clients; the broker refused some, the first of this uid',
      )
      this.turnedAway = 0
    }, 1000).unref()
  }

  /** The uid has no right to anything here, now. */
  private isStranger(uid: number): boolean {
    const { policy, inventory } = this.broker
    return !policy.isTenant(uid) && inventory.related.to(uid).size === 0
  }

  private limits(): PlaceLimits {
    const { settings } = this.broker
    if (settings.clientsMax <= this.clientsMax) return settings
    if (this.lessened?.of !== settings) {
      this.broker.log.warn(
        { clients_max: settings.clientsMax, descriptors: descriptorsMax },
        `the limit of open files has room for ${this.clientsMax} clients only`,
      )
      this.lessened = { of: settings, limits: { ...settings, clientsMax: this.clientsMax } }
    }
    return this.lessened.limits
  }

  private ended(session: Session, place: Place, error: Error | undefined): void {
    const { broker } = this
    const { pid, uid } = session.peer
    broker.sessions.delete(session)
    this.responders.delete(session)
    this.places.giveBack(place)
    if (error) broker.log.warn({ client: session.id, pid, uid, reason: error.message }, 'client dropped')
    else broker.log.debug({ client: session.id, pid, uid }, 'client disconnected')
    broker.events.emit({ kind: 'disconnected', uid, pid, ...(error && { detail: error.message }) })
    session.close()
    if (this.paused) {
      this.paused = false
      this.listener?.resume()
    }
  }

  /** Mostly the broker is out of descriptors. Pending clients wait until another one leaves. */
  private acceptFailed(errno: number | undefined): void {
    this.paused = true
    this.broker.log.error({ errno, clients: this.broker.sessions.size }, 'accepting clients failed; paused')
    setTimeout(() => {
      if (!this.paused) return
      this.paused = false
      this.listener?.resume()
    }, 1000).unref()
  }

  /**
   * By now the broker has answered or dropped every call. It removes the path first, so that clients wait for the next broker.
   */
  stop(): void {
    if (this.path !== undefined) rmSync(this.path, { force: true })
    this.listener?.close()
    for (const responder of [...this.responders.values()]) responder.close()
    closeSync(this.lock)
  }
}

/** Adopts fd if it fails. @throws SystemError */
function peerOf(fd: number): Peer {
  try {
    return native.peerOf(fd)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/**
 * A uid that can rename files in the socket's folder can put a socket of its own there. Clients would send their secrets to it.
 */
function prepareFolder(folder: string): void {
  makeFolder(folder, 0o755)
  const { uid, mode } = statSync(folder)
  const sticky = (mode & 0o1000) !== 0
  if ((uid !== 0 && uid !== process.getuid!()) || ((mode & 0o022) !== 0 && !sticky))
    throw new SocketInUse(`${folder}, where the socket is to be, can be written to by other users`)
}

function removeStale(socket: string): void {
  const stat = lstatSync(socket, { throwIfNoEntry: false })
  if (!stat) return
  if (!stat.isSocket()) throw new SocketInUse(`${socket} exists and is not a socket; nothing was touched`)
  rmSync(socket)
}
