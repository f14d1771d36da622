import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
} from 'node:fs'
import path from 'node:path'
import type { AddressSpan } from '../../../../protocol/kernel/address-span'
import { memoryType } from '../../../../protocol/kernel/memmap'
import type { TypedSpan } from './boot-map'

/** Files of this host, or of a tree like its root. undefined stands for an unreadable file. */
export class HostFiles {
  constructor(private readonly root = '/') {}

  at(file: string): string {
    return path.join(this.root, file)
  }

  text(file: string): string | undefined {
    try {
      return readFileSync(this.at(file), 'utf8').trimEnd()
    } catch {
      return undefined
    }
  }

  bytes(file: string): Buffer | undefined {
    try {
      return readFileSync(this.at(file))
    } catch {
      return undefined
    }
  }

  /** Reads a file that may be large. */
  part(file: string, offset: number, length: number): Buffer | undefined {
    let fd: number | undefined
    try {
      fd = openSync(this.at(file), 'r')
      const buffer = Buffer.alloc(length)
      return buffer.subarray(0, readSync(fd, buffer, 0, length, offset))
    } catch {
      return undefined
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  /** undefined: there is no number. */
  number(file: string): number | undefined {
    const text = this.text(file)
    return text === undefined || text === '' || Number.isNaN(Number(text)) ? undefined : Number(text)
  }

  list(folder: string): string[] {
    try {
      return readdirSync(this.at(folder)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    } catch {
      return []
    }
  }

  /**
   * The bytes of memory or room that the files of a folder take. Without such a folder, none. undefined: this user can't see
   * it.
   */
  bytesIn(folder: string): number | undefined {
    try {
      return readdirSync(this.at(folder)).reduce(
        (sum, name) => sum + lstatSync(path.join(this.at(folder), name)).blocks * 512,
        0,
      )
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 0 : undefined
    }
  }

  /** Follows links to their end. */
  realPath(file: string): string | undefined {
    try {
      return `/${path.relative(realpathSync(this.root), realpathSync(this.at(file)))}`
    } catch {
      return undefined
    }
  }

  /** Reads owner and mode of a link itself. */
  stat(file: string): { uid: number; mode: number } | undefined {
    try {
      return lstatSync(this.at(file))
    } catch {
      return undefined
    }
  }

  link(file: string): string | undefined {
    try {
      return readlinkSync(this.at(file))
    } catch {
      return undefined
    }
  }
}

const typeNames: Record<string, number> = {
  'System RAM': memoryType.ram,
  Reserved: memoryType.reserved,
  'ACPI Tables': memoryType.acpi,
  'ACPI Non-volatile Storage': memoryType.acpiNvs,
  'Unusable memory': memoryType.unusable,
  'Persistent Memory': memoryType.persistent,
  'Persistent Memory (legacy)': memoryType.protected,
  'Soft Reserved': memoryType.softReserved,
}

/** The firmware's map at boot, before any parameter changes it. Every kernel that kexec starts gets the same map. */
export function firmwareMap(files: HostFiles): TypedSpan[] {
  const folder = '/sys/firmware/memmap'
  return files.list(folder).flatMap(entry => {
    const [start, last] = ['start', 'end'].map(name => files.number(`${folder}/${entry}/${name}`))
    if (start === undefined || last === undefined) return []
    const name = files.text(`${folder}/${entry}/type`) ?? ''
    return [{ start, end: last + 1, type: typeNames[name] ?? memoryType.reserved }]
  })
}

/** The place where the boot loader had put the running kernel's initrd. It may use that place again. */
export function initrd(bootParameters: Buffer): AddressSpan | undefined {
  if (bootParameters.length < 0x220) return undefined
  const low = (offset: number) => bootParameters.readUInt32LE(offset)
  const start = low(0x218) + low(0xc0) * 2 ** 32
  const bytes = low(0x21c) + low(0xc4) * 2 ** 32
  return bytes === 0 ? undefined : { start, end: start + bytes }
}

/** Whether modprobe's configuration gives the whole of soft-reserved memory to nobody. */
export function idleByModprobe(files: HostFiles): boolean {
  return ['/etc/modprobe.d', '/lib/modprobe.d', '/usr/lib/modprobe.d'].some(folder =>
    files
      .list(folder)
      .filter(name => name.endsWith('.conf'))
      .some(name =>
        /^\s*options\s+dax[-_]hmem\s.*\bregion_idle=(1|y)/im.test(files.text(`${folder}/${name}`) ?? ''),
      ),
  )
}
