import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { packageRoot } from '../../support/package-root'
import { findProgram, installPackage } from '../require-qemu'
import { type PeerStatus, wentOn } from './stream-peer'

const hostAddress = '10.77.0.1'
const peerMain = path.join(packageRoot, 'dist/test/guest/linux/peer-main.js')
const pollMs = 20
/** A bound on hanging. */
const boundMs = 240_000

/** A network namespace with a tap for each guest, all in one bridge. It ends with this process. Needs root. */
export class GuestNetwork {
  private readonly peers: PeerProcess[] = []
  private readonly programs: ChildProcess[] = []

  private constructor(private readonly holder: ChildProcess) {}

  static async open(taps: readonly string[]): Promise<GuestNetwork> {
    if (findProgram('ip') === undefined) installPackage('iproute2', 'ip')
    const script = [
      'set -e',
      'ip link set lo up',
      `ip link add br0 type bridge`,
      `ip addr add ${hostAddress}/24 dev br0`,
      'ip link set br0 up',
      ...taps.map(tap => `ip tuntap add ${tap} mode tap; ip link set ${tap} master br0 up`),
      'echo up',
      'exec cat',
    ].join('\n')
    const holder = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '-n', 'sh', '-c', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [first] = await Promise.race([once(holder.stdout!, 'data'), once(holder, 'exit')])
    if (!Buffer.isBuffer(first)) throw new Error(`no network namespace: ${first}`)
    return new GuestNetwork(holder)
  }

  /** A command that runs the rest of its arguments in it. */
  get enter(): readonly [string, ...string[]] {
    return ['nsenter', '-t', String(this.holder.pid), '-n', '--']
  }

  /** A peer of the guest with that address. */
  peer(address: string): PeerProcess {
    const peer = new PeerProcess([...this.enter, process.execPath, peerMain, address])
    this.peers.push(peer)
    return peer
  }

  /** Starts a program in it, which ends with this process or with close(). */
  start(command: readonly string[]): void {
    const [file, ...enter] = this.enter
    this.programs.push(
      spawn(file, [...enter, 'setpriv', '--pdeathsig', 'KILL', ...command], {
        stdio: ['ignore', 'ignore', 'inherit'],
      }),
    )
  }

  async close(): Promise<void> {
    for (const peer of this.peers) await peer.close()
    for (const program of this.programs) program.kill('SIGKILL')
    this.holder.kill('SIGKILL')
    if (this.holder.exitCode === null && this.holder.signalCode === null) await once(this.holder, 'exit')
  }
}

/** A stream peer in another process. */
export class PeerProcess {
  private readonly child: ChildProcess
  private readonly answers: AsyncIterator<string>

  constructor(command: readonly string[]) {
    const [file, ...args] = command as [string, ...string[]]
    this.child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.answers = createInterface(this.child.stdout!)[Symbol.asyncIterator]()
  }

  async status(): Promise<PeerStatus> {
    this.child.stdin!.write('\n')
    const { value, done } = await this.answers.next()
    if (done) throw new Error('the peer has ended')
    return JSON.parse(value)
  }

  /** Waits for a status; a stream that has failed is an error. */
  async until(holds: (status: PeerStatus) => boolean, what: string): Promise<PeerStatus> {
    const deadline = performance.now() + boundMs
    for (;;) {
      const status = await this.status()
      if (status.failure !== undefined) throw new Error(`${what}: ${status.failure}`)
      if (holds(status)) return status
      if (performance.now() > deadline) throw new Error(`never came: ${what}; ${JSON.stringify(status)}`)
      await sleep(pollMs)
    }
  }

  /** Waits until the guest has sent, received and written something after this call. */
  async progress(what: string): Promise<PeerStatus> {
    const before = await this.status()
    return this.until(after => wentOn(before, after), what)
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.stdin!.end()
    await once(this.child, 'exit')
  }
}
