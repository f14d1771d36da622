import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Channel, ChannelEvents } from '../../../protocol/wire/channel'

/** RFC 6455: an endpoint ends the connection because of a message that it received. */
const policyViolation = 1008

/** A frame is a message without its NUL, and carries no descriptors. transport: the stream below the WebSocket. */
export function webSocketChannel(socket: WebSocket, transport: Socket, events: ChannelEvents): Channel {
  let ended = false
  let corked = false
  /** Frames of one iteration of the event loop leave together: each alone would cost a system call. */
  const gather = () => {
    if (corked) return
    corked = true
    transport.cork()
    setImmediate(() => {
      corked = false
      transport.uncork()
    })
  }
  const end = (error: Error | undefined) => {
    if (ended) return
    ended = true
    events.onEnd(error)
  }
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (ended) return
    const fault = isBinary ? 'a binary frame' : data.includes(0) ? 'a NUL byte in a frame' : undefined
    if (fault === undefined) events.onData(Buffer.concat([data, nul]), [])
    else {
      end(new Error(fault))
      socket.close(policyViolation)
    }
  })
  socket.on('error', error => end(error))
  socket.on('close', () => end(undefined))
  const sent = () => {
    if (!ended && socket.bufferedAmount === 0) events.onDrain()
  }
  return {
    send: (bytes, fds) => {
      for (const fd of fds) closeSync(fd)
      if (ended) return
      gather()
      socket.send(bytes.subarray(0, -1), { binary: false }, sent)
    },
    get queuedBytes() {
      return ended ? 0 : socket.bufferedAmount
    },
    queuedFds: 0,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => {
      if (ended) return
      ended = true
      socket.close(policyViolation)
    },
  }
}

const nul = Buffer.of(0)
