import {
  metadataBytesMax,
  metadataNestingMax,
  nameBytesMax,
  secretBytesMax,
} from '../../../protocol/wire/limits'
import type { Call } from '../../../protocol/wire/responder'
import { refuse } from '../refusal'

/** Checks beyond the types of the interface. Each throws Refusal InvalidArgument, in the caller's words. */

export function invalid(parameter: string, reason: string): never {
  refuse('InvalidArgument', { parameter, reason })
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: this refuses control characters
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]/

/** Lists print a name, people type it, and other programs put it into paths: no control characters, no path tricks. */
export function checkName(name: string): void {
  if (name === '') invalid('name', 'a name is not empty')
  if (Buffer.byteLength(name) > nameBytesMax) invalid('name', `a name has at most ${nameBytesMax} bytes`)
  if (control.test(name) || !name.isWellFormed()) invalid('name', 'a name has no control characters')
  if (name !== name.trim()) invalid('name', 'a name does not begin or end with white space')
  if (name.split('/').some(part => part === '' || part === '.' || part === '..'))
    invalid('name', "a name's parts between slashes are not empty, '.' or '..'")
}

/** A text that lists and logs show as it is. */
export function checkLine(parameter: string, text: string, bytesMax: number): void {
  if (Buffer.byteLength(text) > bytesMax) invalid(parameter, `at most ${bytesMax} bytes are possible`)
  if (control.test(text) || !text.isWellFormed()) invalid(parameter, 'control characters are not possible')
}

export function checkBytes(bytes: number, parameter = 'bytes'): void {
  if (bytes <= 0) invalid(parameter, 'a size is greater than zero')
}

export function checkUid(uid: number): void {
  if (uid < 0 || uid > 0xfffffffe) invalid('uid', 'a uid is from 0 to 4294967294')
}

/** As JSON text. */
export function metadataText(metadata: object | null | undefined): string | null {
  if (metadata === null || metadata === undefined) return null
  if (depthOf(metadata) > metadataNestingMax)
    invalid('metadata', `metadata has at most ${metadataNestingMax} objects and arrays inside each other`)
  const text = JSON.stringify(metadata)
  if (Buffer.byteLength(text) > metadataBytesMax)
    invalid('metadata', `metadata has at most ${metadataBytesMax} bytes as JSON`)
  return text
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

export function checkSecret(secret: string | null | undefined): void {
  if (secret === null || secret === undefined) return
  if (secret === '') invalid('secret', 'a secret is not empty')
  if (Buffer.byteLength(secret) > secretBytesMax)
    invalid('secret', `a secret has at most ${secretBytesMax} bytes`)
}

/** Settles when the peer has read its queued replies, or is gone. */
export function drained(call: Call): Promise<void> {
  return new Promise(resolve => {
    call.onDrain(resolve)
    call.onEnd(resolve)
  })
}

/** Like drained; false when that takes longer than ms. */
export async function drainedWithin(call: Call, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>(resolve => {
    timer = setTimeout(resolve, ms, false)
  })
  try {
    return await Promise.race([drained(call).then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
