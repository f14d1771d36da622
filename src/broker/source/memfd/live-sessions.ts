import { createHash } from 'node:crypto'
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { native, type Results } from '../../../../native'
import { SourceError } from '../../failure'
import { type Part, shortPart } from '../../service/inherited'

export const liveUpdateDevice = '/dev/liveupdate'

/** The kernel takes names of so many bytes. */
const nameBytesMax = 63
/** Another process may have the device open for a moment. */
const busyMs = 20
const busyTriesMax = 100
const takenTriesMax = 50

/** The name of the session that preserves a part of a range: of its memfd only, so that each can end by itself. */
export function sessionName(range: string, part: Part): string {
  const name = `membroker-${shortPart(part)}.${range}`
  if (name.length <= nameBytesMax) return name
  const short = createHash('sha256').update(range).digest('hex').slice(0, 32)
  return `membroker-${shortPart(part)}.${short}`
}

/** What an operator does next, once the reason is gone that keeps preserved memory out of use, and what not. */
export const restartHere =
  'then restart the broker in this boot; do not stop it, kexec or boot before, which loses the memory'
/** What an operator does where preserved memory is out of reach for good. */
export const bootFrees =
  'no restart of the broker brings it back, and the next boot frees it: the range begins empty then'

/** Uses the kernel's device, which one process at a time can have open. @throws SystemError, EBUSY while another has it */
export function withDevice<T>(use: (device: number) => T): T {
  const device = openSync(liveUpdateDevice, constants.O_RDWR)
  try {
    return use(device)
  } finally {
    closeSync(device)
  }
}

/** Tries again while another process has the device. @throws what the attempt throws; SourceError EBUSY */
export async function onceDeviceIsFree<T>(attempt: () => T | Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
    }
    if (tries === busyTriesMax)
      throw Object.assign(new SourceError(`another process has ${liveUpdateDevice} open`), { code: 'EBUSY' })
    await sleep(busyMs)
  }
}

/** Why this host keeps no memfds over kexec just now; a sentence. undefined: it does. */
export async function whyNotLive(): Promise<string | undefined> {
  try {
    await onceDeviceIsFree(() => withDevice(() => {}))
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    switch (code) {
      case 'ENOENT':
      case 'ENODEV':
      case 'ENXIO':
        return `this kernel has no ${liveUpdateDevice}: it needs the Live Update Orchestrator and the parameters kho=on liveupdate=on`
      case 'EACCES':
      case 'EPERM':
        return `only root may use ${liveUpdateDevice}`
      case 'EIO':
        // What the kernel before has preserved is in there, unreadable: a new table must not take its place.
        throw new SourceError(
          `this kernel can't read what the kernel before has preserved (${liveUpdateDevice}: EIO): ${bootFrees}; do not kexec into another release again`,
        )
    }
    throw new SourceError(`${message}: end that, ${restartHere}`, { cause: error })
  }
}

/** What this kernel got from whatever started it (x86). */
const bootParameters = '/sys/kernel/boot_params'
/** From a kernel before it (SETUP_KEXEC_KHO of asm/setup_data.h). */
const handover = 10

/**
 * Whether a kernel before may have preserved anything: not after a cold boot. The kernel lists no sessions, and to ask for one
 * takes it.
 */
export function isHandedOver(folder = bootParameters): boolean {
  const data = path.join(folder, 'setup_data')
  // Without an item there is no such folder.
  if (existsSync(folder) && !existsSync(data)) return false
  try {
    return readdirSync(data).some(
      item => Number(readFileSync(path.join(data, item, 'type'), 'latin1')) === handover,
    )
  } catch {
    return true
  }
}

/**
 * A new session for each part, or why there is none: EEXIST where another program has one of its name. An earlier broker's ends
 * a moment after that broker.
 */
export async function createSessions(range: string, parts: readonly Part[]): Promise<(number | Error)[]> {
  const results = new Array<number | Error>(parts.length)
  let waiting = [...parts.keys()]
  for (let tries = 1; ; tries++) {
    try {
      const names = waiting.map(index => sessionName(range, parts[index]!))
      const made = await onceDeviceIsFree(() =>
        withDevice(device => native.createLiveSessions(device, names)),
      )
      for (const [at, index] of waiting.entries()) results[index] = made[at]!
    } catch (error) {
      for (const index of waiting) results[index] = error as Error
      return results
    }
    waiting = waiting.filter(index => codeOf(results[index]!) === 'EEXIST')
    if (waiting.length === 0 || tries === takenTriesMax) return results
    await sleep(busyMs)
  }
}

const codeOf = (result: number | Error) =>
  typeof result === 'number' ? undefined : (result as NodeJS.ErrnoException).code

/** The part of a range that a session preserves. undefined: it is no session, or none of the range. */
export function partOf(fd: number, range: string): Part | undefined {
  let name: string
  try {
    name = native.liveSessionName(fd)
  } catch {
    return undefined
  }
  const [, short = ''] = /^membroker-(0|[1-9a-z][0-9a-z]*)\./.exec(name) ?? []
  const part = short === '0' ? 'table' : Number.parseInt(short, 36)
  return sessionName(range, part) === name ? part : undefined
}

/** Sessions of the kernel before. undefined: there is none of this part, or it is over. @throws SystemError */
export function retrieveSessions(range: string, parts: readonly Part[]): Results<number | undefined> {
  const names = parts.map(part => sessionName(range, part))
  return withDevice(device => native.retrieveLiveSessions(device, names))
}

/** Each session has one memfd, under this. */
export const token = 0
/** A session that has more than this version knows has one under this. The kernel lists no tokens. */
export const nextToken = 1

/** Whether it is a session of the kernel before: only there does the kernel look for a token. */
export async function isOfKernelBefore(session: number): Promise<boolean> {
  const [result] = await native.retrieveFiles([session], nextToken)
  if (typeof result === 'number') {
    closeSync(result)
    return true
  }
  const { code } = result!
  if (code !== 'EINVAL' && code !== 'ENOENT') throw result
  return code === 'ENOENT'
}
