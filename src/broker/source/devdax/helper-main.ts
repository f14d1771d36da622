import { closeSync, openSync } from 'node:fs'
import { native } from '../../../../native'
import { cutInstance } from './cut'
import type { Answer, Order } from './helper'
import { makeInstance, removeInstance } from './instance'

/**
 * The process that writes to sysfs. Its orders are carried out one after the other, each whole; when the broker is
 * gone it finishes the one it is at and ends. It inherits the region's lock, so that no new broker comes in between.
 */

/** Held while devices are bound or unbound, against other regions' helpers: see instance.ts, rule 2. */
const busLock = '/sys/bus/dax/drivers/device_dax/new_id'
const pauseMs = 2

function lockBus(): number {
  const fd = openSync(busLock, 'w')
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    try {
      native.lockFile(fd)
      return fd
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(pause, 0, 0, pauseMs)
    }
  }
}

async function carryOut(order: Order): Promise<object> {
  if ('make' in order) return makeInstance(order.make)
  if ('cut' in order) return cutInstance(order.cut)
  removeInstance(order.remove.directory, order.remove.name)
  return {}
}

async function answer(order: Order): Promise<Answer> {
  try {
    const lock = lockBus()
    try {
      return { id: order.id, result: await carryOut(order) }
    } finally {
      closeSync(lock)
    }
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException
    return { id: order.id, code, message }
  }
}

let last: Promise<unknown> = Promise.resolve()
process.on('message', (order: Order) => {
  last = last.then(async () => process.connected && process.send!(await answer(order)))
})
process.on('disconnect', () => last.then(() => process.exit(0)))
// The terminal's Ctrl-C is for the broker.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
