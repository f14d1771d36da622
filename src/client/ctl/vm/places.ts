import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { makeFolder } from '../../../../native/make-folder'
import { KiB } from '../../../../protocol/units'
import { exitCode, Failure } from '../exit'

/** The folder for runners' files of this boot only: /run/membroker-vm, or this user's own. */
export function runtimeRoot(environment: NodeJS.ProcessEnv = process.env, uid = process.getuid!()): string {
  const { MEMBROKER_VM_RUNTIME: named, XDG_RUNTIME_DIR: own } = environment
  if (named) return named
  if (uid === 0) return '/run/membroker-vm'
  return path.join(own && path.isAbsolute(own) ? own : `/run/user/${uid}`, 'membroker-vm')
}

const vmStates = [
  ...(['starting', 'running', 'upgrading', 'saving', 'prepared', 'paused'] as const),
  ...(['stopping', 'saved', 'stopped', 'failed'] as const),
] as const
export type VmState = (typeof vmStates)[number]

/** A runner's present or last report of itself. */
export interface VmRecord {
  readonly state: VmState
  /** The runner's pid. */
  readonly pid: number
  readonly qemuPid: number | null
  /** Milliseconds since the Unix epoch. */
  readonly since: number
  /** The reason, for people; null where the state says it all. */
  readonly reason: string | null
}

/**
 * Reads a record of the VM's user. A guest that broke out of QEMU may have written it, so an administrator who lists VMs
 * believes only these fields.
 */
export function recordFrom(value: unknown): VmRecord | undefined {
  const { state, pid, qemuPid, since, reason } = (value ?? {}) as Record<keyof VmRecord, unknown>
  const known = vmStates.find(each => each === state)
  const isRecord =
    typeof pid === 'number' &&
    (qemuPid === null || typeof qemuPid === 'number') &&
    typeof since === 'number' &&
    (reason === null || typeof reason === 'string')
  return known && isRecord ? { state: known, pid, qemuPid, since, reason } : undefined
}

/** A record with QEMU's last lines has a fraction of so many bytes. */
const recordBytesMax = 256 * KiB

/** Linux's bound, with the 0 at the end. */
const socketPathBytesMax = 108

/** The folder of one VM's runner; only its user can enter it. */
export class VmPlaces {
  readonly folder: string

  constructor(root: string, name: string) {
    this.folder = path.join(root, name)
  }

  get control(): string {
    return path.join(this.folder, 'control.sock')
  }

  /**
   * Makes the folder, for the user that QEMU runs as. One that others could get into may have their links in it: it goes, with all in
   * it. @throws Failure
   */
  prepare(uid: number, gid: number): void {
    try {
      makeFolder(path.dirname(this.folder), 0o755)
      const found = lstatSync(this.folder, { throwIfNoEntry: false })
      if (found && !found.isDirectory()) throw new Error(`${this.folder} is no folder`)
      if (this.isOpenTo(uid)) removeTree(this.folder)
      try {
        mkdirSync(this.folder, { mode: 0o700 })
        if (process.getuid!() === 0) chownSync(this.folder, uid, gid)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
    } catch (error) {
      throw new Failure('RuntimeFolder', (error as Error).message, exitCode.refused)
    }
    if (Buffer.byteLength(this.control) >= socketPathBytesMax)
      throw new Failure('RuntimeFolder', `${this.control} is too long for a socket`, exitCode.refused)
  }

  /** Whether the folder is there, and others than this uid may have put something into it. */
  isOpenTo(uid: number): boolean {
    const found = lstatSync(this.folder, { throwIfNoEntry: false })
    return found !== undefined && (found.uid !== uid || (found.mode & 0o777) !== 0o700)
  }

  /** Replaces the record as a whole. */
  write(record: VmRecord): void {
    const part = `${this.file}.part`
    rmSync(part, { force: true })
    writeFileSync(part, `${JSON.stringify(record)}\n`, { flag: 'wx', mode: 0o600 })
    renameSync(part, this.file)
  }

  /** Returns the last record of this boot. undefined: there is none, or this user may not read it. */
  read(): VmRecord | undefined {
    let fd: number | undefined
    try {
      // The folder is the user's: a FIFO there must make nobody wait, and a link must not show another's file.
      fd = openSync(this.file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
      const stat = fstatSync(fd)
      if (!stat.isFile() || stat.size > recordBytesMax) return undefined
      return recordFrom(JSON.parse(readFileSync(fd, 'utf8')))
    } catch {
      return undefined
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  private get file(): string {
    return path.join(this.folder, 'status.json')
  }
}

/**
 * Each folder becomes this user's alone before its names are looked at: nobody can put a link in the place of one meanwhile.
 * @throws Error where it belongs to somebody else, and this user is not root
 */
function removeTree(folder: string): void {
  chownSync(folder, process.getuid!(), process.getgid!())
  chmodSync(folder, 0o700)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const place = path.join(folder, entry.name)
    if (entry.isDirectory()) removeTree(place)
    else rmSync(place)
  }
  rmdirSync(folder)
}
