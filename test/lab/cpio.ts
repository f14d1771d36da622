import { once } from 'node:events'
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'

const fileType = { folder: 0o040000, file: 0o100000, link: 0o120000, characterDevice: 0o020000 } as const
const blockBytes = 4

/** Where an entry's bytes come from. */
type Content = { bytes: Buffer } | { file: string; size: number }

/**
 * Writes an archive that the kernel unpacks as its first root filesystem ("newc" cpio; several may follow each other).
 * Paths are without a leading slash; the folders above an entry are made by themselves.
 */
export class CpioWriter {
  private readonly output: WriteStream
  private readonly folders = new Set<string>()
  private inode = 0

  constructor(file: string) {
    this.output = createWriteStream(file)
  }

  async folder(path: string, mode = 0o755): Promise<void> {
    if (path === '' || path === '.' || this.folders.has(path)) return
    await this.foldersAbove(path)
    this.folders.add(path)
    await this.entry(path, fileType.folder | mode, { bytes: Buffer.alloc(0) })
  }

  /** The size must be the file's. */
  async file(path: string, file: string, size: number, mode = 0o644): Promise<void> {
    await this.foldersAbove(path)
    await this.entry(path, fileType.file | mode, { file, size })
  }

  async text(path: string, text: string | Buffer, mode = 0o644): Promise<void> {
    await this.foldersAbove(path)
    await this.entry(path, fileType.file | mode, { bytes: Buffer.from(text) })
  }

  async link(path: string, target: string): Promise<void> {
    await this.foldersAbove(path)
    await this.entry(path, fileType.link | 0o777, { bytes: Buffer.from(target) })
  }

  async device(path: string, major: number, minor: number, mode = 0o600): Promise<void> {
    await this.foldersAbove(path)
    await this.entry(path, fileType.characterDevice | mode, { bytes: Buffer.alloc(0) }, [major, minor])
  }

  /** Resolves when all of it is in the file. */
  async end(): Promise<void> {
    await this.entry('TRAILER!!!', 0, { bytes: Buffer.alloc(0) })
    this.output.end()
    await finished(this.output)
  }

  private async foldersAbove(path: string): Promise<void> {
    const end = path.lastIndexOf('/')
    if (end > 0) await this.folder(path.slice(0, end))
  }

  private async entry(
    path: string,
    mode: number,
    content: Content,
    device: [number, number] = [0, 0],
  ): Promise<void> {
    const size = 'bytes' in content ? content.bytes.length : content.size
    const name = Buffer.from(`${path}\0`)
    const links = 1
    const numbers = [...[++this.inode, mode, 0, 0, links, 0, size], ...[0, 0, ...device, name.length, 0]].map(
      number => number.toString(16).padStart(8, '0'),
    )
    const head = Buffer.concat([Buffer.from(`070701${numbers.join('')}`), name])
    await this.write(padded(head))
    if ('bytes' in content) return this.write(padded(content.bytes))
    let written = 0
    for await (const chunk of createReadStream(content.file, { highWaterMark: 2 ** 20 })) {
      written += (chunk as Buffer).length
      await this.write(chunk as Buffer)
    }
    if (written !== size) throw new Error(`${content.file} has ${written} bytes instead of ${size}`)
    await this.write(Buffer.alloc(-size & (blockBytes - 1)))
  }

  private async write(bytes: Buffer): Promise<void> {
    if (bytes.length > 0 && !this.output.write(bytes)) await once(this.output, 'drain')
  }
}

function padded(bytes: Buffer): Buffer {
  const rest = -bytes.length & (blockBytes - 1)
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(rest)])
}
