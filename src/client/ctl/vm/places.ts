import {
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
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

  /** Makes the folder, for the user that QEMU runs as. @throws Failure */
  prepare(uid: number, gid: number): void {
    try {
      makeFolder(path.dirname(this.folder), 0o755)
      try {
        mkdirSync(this.folder, { mode: 0o700 })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const found = lstatSync(this.folder)
      if (!found.isDirectory()) throw new Error(`${this.folder} is no folder`)
      if (process.getuid!() === 0) chownSync(this.folder, uid, gid)
      else if (found.uid !== uid) throw new Error(`${this.folder} belongs to uid ${found.uid}`)
    } catch (error) {
      throw new Failure('RuntimeFolder', (error as Error).message, exitCode.refused)
    }
    if (Buffer.byteLength(this.control) >= socketPathBytesMax)
      throw new Failure('RuntimeFolder', `${this.control} is too long for a socket`, exitCode.refused)
  }

  /** Replaces the record as a whole. */
  write(record: VmRecord): void {
    const part = `${this.file}.part`
    writeFileSync(part, `${JSON.stringify(record)}\n`)
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
