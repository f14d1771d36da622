// Proves over a real socket that the kernel hands descriptors over as the pairing rule says: each reply comes with its
// own, however the kernel joins and cuts the stream, and in the end no descriptor of the process is left open.
import { closeSync, fstatSync } from 'node:fs'
import { native, SystemError } from '../../../native'
import { Caller } from '../../../protocol/wire/caller'
import type { OpenChannel } from '../../../protocol/wire/channel'
import { fdsPerMessageMax, responderLimits } from '../../../protocol/wire/limits'
import { Responder } from '../../../protocol/wire/responder'
import { sameFds, settledFds } from '../../support/leaks-nothing'
import { atOnce, settle } from './memory-channel'

const socketChannel =
  (fd: number): OpenChannel =>
  events =>
    new native.Socket(fd, {
      onData: events.onData,
      onEnd: errno => events.onEnd(errno === 0 ? undefined : new SystemError('recvmsg', errno)),
      onDrain: events.onDrain,
    })

interface Wanted {
  fds: number
  padding: number
}

function connect() {
  const [near, far] = native.socketPair()
  const responder = new Responder(socketChannel(far), {
    closeFd: closeSync,
    limits: responderLimits,
    turns: atOnce,
    onHeld: () => true,
    onCall: call => {
      const { fds: count, padding } = call.parameters as Wanted
      const fds = Array.from({ length: count }, () =>
        native.memfdCreate('wire', { hugePageBytes: 0, allowSealing: false }),
      )
      const inodes = fds.map(fd => fstatSync(fd).ino)
      call.reply({ inodes, padding: 'x'.repeat(padding) }, fds)
    },
    onClose: () => {},
  })
  const caller = new Caller(socketChannel(near), { closeFd: closeSync, onClose: () => {} })
  const close = async () => {
    caller.close()
    responder.close()
    await settle()
  }
  return { caller, close }
}

async function ask(caller: Caller, wanted: Wanted): Promise<void> {
  const { parameters, fds } = await caller.call('a.b.C', wanted)
  try {
    expect(parameters.padding).toHaveLength(wanted.padding)
    expect(fds.map(fd => fstatSync(fd).ino)).toEqual(parameters.inodes)
  } finally {
    for (const fd of fds) closeSync(fd)
  }
}

test('pipelined replies of any length, with and without descriptors, come with their own', async () => {
  const before = await settledFds()
  const { caller, close } = connect()
  // Short ones that the kernel joins, long ones that it cuts, at lengths around its buffers.
  const paddings = [0, 1, 100, 4000, 40_000, 65_520, 70_000, 300_000, 2_000_000]
  const wanted = Array.from({ length: 400 }, (_, index) => ({
    fds: [0, 1, 0, 0, 2, 3, 0][index % 7]!,
    padding: index % 11 === 0 ? paddings[(index / 11) % paddings.length]! : paddings[index % 4]!,
  }))
  await Promise.all(wanted.map(one => ask(caller, one)))
  await close()
  await sameFds(before)
})

test('as many descriptors as a message may have', async () => {
  const before = await settledFds()
  const { caller, close } = connect()
  await ask(caller, { fds: fdsPerMessageMax, padding: 10 })
  await close()
  await sameFds(before)
})

test('a connection that ends with replies under way leaves nothing open', async () => {
  const before = await settledFds()
  const { caller, close } = connect()
  const asked = Array.from({ length: 20 }, () =>
    ask(caller, { fds: 5, padding: 200_000 }).catch(error => error),
  )
  await settle()
  await close()
  const outcomes = await Promise.all(asked)
  expect(outcomes.some(outcome => outcome instanceof Error)).toBe(true)
  await sameFds(before)
})
