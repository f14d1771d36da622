/**
 * Proves that an administrator whose program asks for a verification and never reads what comes of it does not keep the
 * others from verifying and from freezing with digests: its call ends after a time, and one that reads in time goes on.
 */
import { responderLimits, verifyUnreadMsMax } from '../../protocol/wire/limits'
import { encodeMessage } from '../../protocol/wire/message'
import { type Call, Responder } from '../../protocol/wire/responder'
import type { Broker } from '../../src/broker/broker'
import { allocate } from '../../src/broker/handler/allocate'
import { verify } from '../../src/broker/handler/verify'
import type { Session } from '../../src/broker/session/session'
import { InProcess, sessionOf } from './support/in-process'

const brokers = new InProcess('unread')
let broker: Broker
let session: Session

beforeEach(async () => {
  broker = await brokers.open(brokers.folder())
  session = sessionOf(broker)
  for (const name of ['a', 'b', 'c']) await allocate(broker, session, { name, bytes: 4096 })
  jest.useFakeTimers()
})
afterEach(() => {
  jest.useRealTimers()
  brokers.dispose()
})

/** A call whose peer has room for nothing, so that each reply waits until read() is called. */
function unreadCall() {
  let queuedBytes = 0
  let drain = () => {}
  let push: (bytes: Buffer) => void = () => {}
  let call: Call | undefined
  new Responder(
    ({ onData, onDrain }) => {
      push = bytes => onData(bytes, [])
      drain = onDrain
      return {
        send: bytes => {
          queuedBytes += bytes.length
        },
        get queuedBytes() {
          return queuedBytes
        },
        queuedFds: 0,
        pause() {},
        resume() {},
        close() {},
      }
    },
    {
      closeFd: () => {},
      limits: { ...responderLimits, outputBytesMax: 0 },
      onCall: made => {
        call = made
      },
      turns: broker.turns.of(() => 0),
      onHeld: () => true,
      onClose: () => {},
    },
  )
  push(encodeMessage({ method: 'Verify', more: true }))
  const read = () => {
    queuedBytes = 0
    drain()
  }
  return { call: call!, read, unread: () => queuedBytes > 0 }
}

test('a caller that does not read loses its call, and the next one gets its turn', async () => {
  const { call, unread } = unreadCall()
  const verified = verify(broker, session, {}, call)
  const refused = expect(verified).rejects.toMatchObject({
    error: 'LimitExceeded',
    parameters: { limit: 'verifyUnreadMs', max: verifyUnreadMsMax },
  })
  await jest.advanceTimersByTimeAsync(verifyUnreadMsMax - 1)
  expect(unread()).toBe(true)
  expect(() => broker.contents.checkIdle('freeze')).toThrow(expect.objectContaining({ error: 'Busy' }))
  await jest.advanceTimersByTimeAsync(1)
  await refused
  broker.contents.checkIdle('freeze')
  expect(jest.getTimerCount()).toBe(0)
})

test('a caller that is slow, but reads each reply in time, hears all of it', async () => {
  const { call, read } = unreadCall()
  const verified = verify(broker, session, {}, call)
  for (let reply = 0; reply < 2; reply++) {
    await jest.advanceTimersByTimeAsync(verifyUnreadMsMax - 1)
    read()
  }
  await jest.advanceTimersByTimeAsync(0)
  await expect(verified).resolves.toMatchObject({ outcome: 'verified', name: 'c', verdict: 'unverified' })
  broker.contents.checkIdle('freeze')
})
