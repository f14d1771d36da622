import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Channel, ChannelEvents } from '../../../protocol/wire/channel'

/** RFC 6455: an endpoint ends the connection because of what it received. */
const policyViolation = 1008

/** Half a frame of the page that draws it: frames are sent together, as each alone would cost a system call. */
const gatherMs = 8
const gatherBytesMax = 64 * 1024

/** A frame is a message without its NUL. No descriptors travel here. transport: what the WebSocket goes over. */
export function webSocketChannel(socket: WebSocket, transport: Socket, events: ChannelEvents): Channel {
  let ended = false
  let gathering: NodeJS.Timeout | undefined
  const flush = () => {
    if (!gathering) return
    clearTimeout(gathering)
    gathering = undefined
    transport.uncork()
  }
  const gather = () => {
    if (gathering) return
    transport.cork()
    gathering = setTimeout(flush, gatherMs)
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
      flush()
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
      if (socket.bufferedAmount >= gatherBytesMax) flush()
    },
    get queuedBytes() {
      return ended ? 0 : socket.bufferedAmount
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => {
      if (ended) return
      ended = true
      flush()
      socket.close(policyViolation)
    },
  }
}

const nul = Buffer.of(0)
