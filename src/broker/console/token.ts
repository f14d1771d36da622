import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { KiB } from '../../../protocol/units'
import type { Logger } from '../log/log'

const tokenBytes = 32
/** A file has the token. If the token has readers, it also has the uids of all who may have seen it. */
const content = /^([A-Za-z0-9_-]{43})\n(?:readers((?: \d+)+)\n)?$/

/** A list of readers needs less. */
const fileBytesMax = 64 * KiB

/**
 * The purpose of a proof. A browser may still use a connection to a program that listened before the broker did, for anything
 * but a new WebSocket. So a proof that it sends there must open none. 'broker' is the broker's own proof, for the page.
 */
export type Purpose = 'console' | 'asking' | 'broker'

/**
 * The key to the console, or to its metrics: 256 random bits as base64url. A file keeps it, so that it outlives the
 * broker.
 */
export class Token {
  private constructor(
    private readonly file: string,
    public text: string,
    private readers: ReadonlySet<number> | undefined,
  ) {}

  /**
   * Takes the file's token. It makes a new one if it can't trust the file, or if a uid that may have seen the token must lose
   * it. readers: the uids that may see it from now on; undefined: the file goes to others. @throws system errors
   */
  static keptIn(file: string, log: Logger, readers?: ReadonlySet<number>): Token {
    const kept = read(file)
    const fault = 'fault' in kept ? kept.fault : faultOfReaders(kept.readers, readers)
    if ('token' in kept && fault === undefined) {
      const token = new Token(file, kept.token, kept.readers)
      if (readers) token.admit(readers)
      return token
    }
    if (fault !== undefined) log.warn({ file, fault }, 'the console gets a new token')
    const token = new Token(file, newText(), readers)
    token.keep()
    return token
  }

  /** Lets more uids see it, if no uid must lose it. @throws system errors */
  admit(readers: ReadonlySet<number>): void {
    if (this.readers?.size === readers.size) return
    this.readers = readers
    this.keep()
  }

  /**
   * Makes another token. The old one is worth nothing any more, even if the file can't keep the new one. @throws system errors
   */
  renew(readers: ReadonlySet<number>): void {
    this.text = newText()
    this.readers = readers
    this.keep()
  }

  /** Removes the old file even if the rest fails: it would mislead the next broker. */
  private keep(): void {
    rmSync(this.file, { force: true })
    const readers = this.readers ? `readers ${[...this.readers].sort((a, b) => a - b).join(' ')}\n` : ''
    write(this.file, `${this.text}\n${readers}`)
  }

  /** Takes the same time for every wrong token, whatever its length. */
  equals(candidate: string): boolean {
    return timingSafeEqual(sha256(this.text), sha256(candidate))
  }

  /** Whether the maker of this proof of the nonce has the token, and made the proof for this purpose. */
  proves(purpose: Purpose, nonce: string, proof: string): boolean {
    return timingSafeEqual(sha256(this.proofOf(purpose, nonce)), sha256(proof))
  }

  proofOf(purpose: Purpose, nonce: string): string {
    return createHmac('sha256', this.text).update(`membroker ${purpose} ${nonce}`).digest('base64url')
  }
}

function newText(): string {
  return randomBytes(tokenBytes).toString('base64url')
}

function sha256(value: string): Buffer {
  return createHash('sha256').update(value).digest()
}

/** Why these readers can't have a token that others have seen; undefined when they can. */
function faultOfReaders(seen: ReadonlySet<number> | undefined, readers: ReadonlySet<number> | undefined) {
  if (!readers) return undefined
  if (!seen) return 'it does not say who has seen the token'
  const dismissed = [...seen].filter(uid => !readers.has(uid))
  return dismissed.length === 0 ? undefined : `uid ${dismissed.join(', ')} is no administrator any more`
}

type Kept = { token: string; readers: ReadonlySet<number> | undefined } | { fault: string | undefined }

function read(file: string): Kept {
  let fd: number
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return { fault: code === 'ENOENT' ? undefined : `it can't be opened: ${code}` }
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.nlink !== 1) return { fault: 'it is not a file with one name' }
    if (stat.uid !== process.getuid!()) return { fault: `it belongs to uid ${stat.uid}` }
    if ((stat.mode & 0o077) !== 0) return { fault: 'others may read or write it' }
    const bytes = Buffer.alloc(fileBytesMax)
    const [, token, readers] =
      content.exec(bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, 0))) ?? []
    if (token === undefined) return { fault: 'it holds no token' }
    return {
      token,
      readers: readers === undefined ? undefined : new Set(readers.trim().split(' ').map(Number)),
    }
  } finally {
    closeSync(fd)
  }
}

/** Writes under another name first: a broker that dies here leaves no half of a token. */
function write(file: string, content: string): void {
  const draft = `${file}.${randomBytes(8).toString('hex')}`
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const fd = openSync(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  try {
    writeSync(fd, content)
    fsyncSync(fd)
    renameSync(draft, file)
  } catch (error) {
    rmSync(draft)
    throw error
  } finally {
    closeSync(fd)
  }
}
