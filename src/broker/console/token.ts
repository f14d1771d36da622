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
import type { Logger } from 'pino'

const tokenBytes = 32
const text = /^[A-Za-z0-9_-]{43}\n$/

/**
 * What a proof is for. A browser may go on using a connection to a program that listened before the broker did, for anything
 * but a new WebSocket; so what is sent there must open none.
 */
export type Purpose = 'console' | 'asking'

/** What opens the console, or its metrics: 256 random bits as base64url. Kept in a file, so that it outlives the broker. */
export class Token {
  private constructor(
    private readonly file: string,
    public text: string,
  ) {}

  /** Takes up the file's token, or makes a new one where the file can't be trusted. Throws system errors. */
  static keptIn(file: string, log: Logger): Token {
    const kept = read(file)
    if ('token' in kept) return new Token(file, kept.token)
    if (kept.fault !== undefined) log.warn({ file, fault: kept.fault }, 'the console gets a new token')
    const token = new Token(file, newText())
    write(file, `${token.text}\n`)
    return token
  }

  /** Another from now on; the old one is worth nothing any more, even where the new one can't be kept. Throws system errors. */
  renew(): void {
    this.text = newText()
    rmSync(this.file, { force: true })
    write(this.file, `${this.text}\n`)
  }

  /** Takes the same time for every wrong one, whatever its length. */
  equals(candidate: string): boolean {
    return timingSafeEqual(sha256(this.text), sha256(candidate))
  }

  /** Whether whoever made this proof of the nonce has the token, and made it for that. */
  proves(purpose: Purpose, nonce: string, proof: string): boolean {
    const hmac = createHmac('sha256', this.text).update(`membroker ${purpose} ${nonce}`).digest('base64url')
    return timingSafeEqual(sha256(hmac), sha256(proof))
  }
}

function newText(): string {
  return randomBytes(tokenBytes).toString('base64url')
}

function sha256(value: string): Buffer {
  return createHash('sha256').update(value).digest()
}

function read(file: string): { token: string } | { fault: string | undefined } {
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
    const bytes = Buffer.alloc(64)
    const content = bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, 0))
    return text.test(content) ? { token: content.trimEnd() } : { fault: 'it holds no token' }
  } finally {
    closeSync(fd)
  }
}

/** Under another name first: a broker that is killed here leaves no half a token. */
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
