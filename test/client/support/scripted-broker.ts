import { closeSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Listener, listenUnix } from '../../../native'
import { responderLimits } from '../../../protocol/wire/limits'
import { type Call, Responder } from '../../../protocol/wire/responder'
import { channelOf } from '../../../src/client/transport'
import { atOnce } from '../../protocol/wire/memory-channel'

const prefix = 'io.membroker.Broker.'

export const status = {
  version: '0',
  pid: 1,
  bootId: 'b',
  startedAt: 0,
  frozen: null,
  ranges: 0,
  allocations: 0,
  unclaimed: 0,
  mappings: 0,
  clients: 1,
  clientsMax: 1,
  retired: [],
  usage: [],
}

/**
 * Answers calls as a test says, over real sockets: for what a real broker does not do when asked to, such as dying at
 * one exact moment or replying nonsense. A call without a script is answered by status, if it is GetStatus.
 */
export class ScriptedBroker {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'membroker-scripted-'))
  readonly socket = path.join(this.directory, 's')
  readonly calls: string[] = []
  readonly script = new Map<string, (call: Call, responder: Responder) => void>()
  private readonly responders = new Set<Responder>()
  private listener: InstanceType<typeof Listener> | undefined

  constructor() {
    this.listen()
  }

  listen(): void {
    this.listener = new Listener(
      listenUnix(this.socket, 16),
      fd => this.serve(fd),
      errno => {
        throw new Error(`accept: ${errno}`)
      },
    )
  }

  /** As a crash: nobody listens, and every connection ends. */
  vanish(): void {
    this.listener?.close()
    this.listener = undefined
    rmSync(this.socket, { force: true })
    this.hangUp()
  }

  hangUp(): void {
    for (const responder of [...this.responders]) responder.close()
  }

  dispose(): void {
    this.vanish()
    rmSync(this.directory, { recursive: true, force: true })
  }

  private serve(fd: number): void {
    const responder: Responder = new Responder(channelOf(fd), {
      closeFd: closeSync,
      limits: responderLimits,
      turns: atOnce,
      onHeld: () => true,
      onCall: call => {
        const method = call.method.slice(prefix.length)
        this.calls.push(method)
        const scripted = this.script.get(method)
        if (scripted) scripted(call, responder)
        else if (method === 'GetStatus') call.reply(status)
        else call.fail('org.varlink.service.MethodNotFound', { method: call.method })
      },
      onClose: () => this.responders.delete(responder),
    })
    this.responders.add(responder)
  }
}
