import { createHash } from 'node:crypto'
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { native } from '../../../../native'
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

/** A new session. An earlier broker's ends a moment after that broker. @throws SystemError EEXIST: another program has one of its name */
export async function createSession(range: string, part: Part): Promise<number> {
  for (let tries = 1; ; tries++) {
    try {
      return await onceDeviceIsFree(() =>
        withDevice(device => native.createLiveSession(device, sessionName(range, part))),
      )
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || tries === takenTriesMax) throw error
    }
    await sleep(busyMs)
  }
}

/** A session of the kernel before. undefined: there is none, or it is over. @throws SystemError */
export function retrieveSession(device: number, range: string, part: Part): number | undefined {
  return native.retrieveLiveSession(device, sessionName(range, part))
}

export function isSessionOf(fd: number, range: string, part: Part): boolean {
  try {
    return native.liveSessionName(fd) === sessionName(range, part)
  } catch {
    return false
  }
}

/** No session has a file under it. */
const noToken = 1

/** Whether it is a session of the kernel before: only there does the kernel look for a token. */
export async function isOfKernelBefore(session: number): Promise<boolean> {
  try {
    closeSync(await native.retrieveFile(session, noToken))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EINVAL' && code !== 'ENOENT') throw error
    return code === 'ENOENT'
  }
  return true
}
