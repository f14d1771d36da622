import { closeSync, openSync } from 'node:fs'
import { native } from '../../../../native'
import { HolderScan } from '../../worker/holder-scan'
import { WorkerPool } from '../../worker/worker-pool'
import { prepareMounts } from '../counting-mount'
import { type Counting, calibrate, unitsReferenced } from '../page-references'
import type { Answer, CountOrder, Order } from './helper'
import { checkNothingUnbound, makeInstance, removeInstance } from './instance'
import { takeInstance } from './take'

/**
 * The process that writes to sysfs. It carries out its orders one after the other, each whole. When the broker is gone, it
 * finishes its current order and ends. It inherits the region's lock, so that no new broker comes in between.
 */

/** A lock against other regions' helpers while this one binds or unbinds devices: see instance.ts, rule 2. */
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

const workers = new WorkerPool()

async function carryOut(order: Order): Promise<object> {
  if ('make' in order) return makeInstance(order.make)
  if ('take' in order) return takeInstance(order.take, new HolderScan(workers))
  if ('count' in order) return { units: unitsReferenced(order.count.extents, order.count.unitBytes) }
  if ('calibrate' in order) return calibrateOn(order.calibrate)
  const { directory, name, reason } = order.remove
  removeInstance(directory, name, reason)
  return {}
}

function calibrateOn({ name, extents, unitBytes }: { name: string } & CountOrder): Counting {
  prepareMounts()
  return calibrate(`/dev/${name}`, extents, unitBytes)
}

const orders: Order[] = []
let working: Promise<void> | undefined

/** Carries out all waiting orders under one lock: after one that succeeds, the next need not look for half-done work. */
async function work(): Promise<void> {
  const lock = lockBus()
  let clean = false
  try {
    for (let order = orders.shift(); order && process.connected; order = orders.shift()) {
      let answer: Answer
      try {
        if (!clean && 'make' in order) checkNothingUnbound()
        answer = { id: order.id, result: await carryOut(order) }
        clean = true
      } catch (error) {
        const { code = 'EIO', message } = error as NodeJS.ErrnoException
        answer = { id: order.id, code, message }
        clean = false
      }
      // If the broker is gone meanwhile, the helper still finishes the step.
      if (process.connected) process.send!(answer, () => {})
    }
  } finally {
    closeSync(lock)
    working = undefined
  }
}

process.on('message', (order: Order) => {
  orders.push(order)
  // Not at once: orders that arrived together run under the same lock.
  working ??= Promise.resolve().then(work)
})
process.on('disconnect', () => Promise.resolve(working).then(() => process.exit(0)))
// The terminal's Ctrl-C is for the broker.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
