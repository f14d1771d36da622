import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
} from 'node:fs'
import path from 'node:path'
import { bindFile, SystemError, unshareMounts } from '../../../native'
import { systemReason } from '../../../protocol/system-reason'
import { exitCode, Failure, UsageError } from './exit'
import type { MapSpec } from './map-spec'

/** Linux; Node has no name for it. */
const O_PATH = 0o10000000
const noFollow = O_PATH | constants.O_NOFOLLOW

/** Memory that the command finds at a path. */
interface PathMemory {
  readonly name: string
  readonly path: string
  /** This process' descriptor of it, and the command's. */
  readonly fd: number
  readonly commandFd: number
  readonly writable: boolean
}

class PathRefused extends Failure {
  constructor(place: string, reason: string) {
    super('PathRefused', `${place}: ${reason}`, exitCode.refused)
  }
}

/** Before anything is claimed or made. @throws UsageError, Failure */
export function checkPaths(specs: readonly MapSpec[]): void {
  const places = new Set<string>()
  for (const { name, path: place } of specs) {
    if (place === undefined) continue
    const real = path.join(realFolder(place), path.basename(place))
    if (places.has(real)) throw new UsageError(`--map ${name}: another --map has path=${place} already`)
    places.add(real)
    look(place)
  }
}

/**
 * Puts memory at paths for the command that this process becomes next: by mounts that only the command and its children
 * see, or by links to /proc/self/fd.
 */
export function placeMemory(all: readonly PathMemory[]): void {
  for (const memory of all) if (fstatSync(memory.fd).isCharacterDevice()) warnOfDevice(memory)
  for (const memory of all) checkOpens(memory)
  const canMount = all.some(({ fd }) => withFileOf(fd, () => true)) && mayMount()
  for (const memory of all)
    if (!(canMount && withFileOf(memory.fd, file => mountAt(file, memory)))) linkTo(memory)
}

/** Such a device comes with mmap() alone. */
function warnOfDevice({ name, path: place }: PathMemory): void {
  process.stderr.write(
    `broker-ctl: note: ${name} is memory of a device: a command can map ${place}, but ftruncate(), fsync(), read() ` +
      'and write() of it fail with EINVAL\n',
  )
}

function realFolder(place: string): string {
  const folder = path.dirname(place)
  try {
    return realpathSync(folder)
  } catch (error) {
    throw new PathRefused(place, `${folder} can't be looked up: ${systemReason(error)}`)
  }
}

/** The file that is there already. @throws Failure where memory must not take its place */
function look(place: string): 'nothing' | 'file' | 'link' {
  const stat = lstatSync(place, { throwIfNoEntry: false })
  if (!stat) return 'nothing'
  if (stat.uid !== process.geteuid!()) throw new PathRefused(place, `it belongs to uid ${stat.uid}`)
  if (stat.isSymbolicLink()) {
    const target = readlinkSync(place)
    if (!/^\/proc\/self\/fd\/\d+$/.test(target))
      throw new PathRefused(place, `it is a symbolic link to ${target}`)
    return 'link'
  }
  checkFile(place, stat)
  return 'file'
}

function checkFile(place: string, stat: Stats): void {
  if (stat.isDirectory()) throw new PathRefused(place, 'it is a directory')
  if (!stat.isFile()) throw new PathRefused(place, 'it is not a regular file')
  if (stat.size > 0)
    throw new PathRefused(place, `it has ${stat.size} bytes, which the memory would hide; move it away`)
}

/**
 * Calls back with an O_PATH descriptor of the file behind fd, as this mount namespace has it. undefined: it is not in
 * this namespace, or not for this user, as every memfd; and a device must be opened through its broker's mount, which counts
 * who has it open.
 */
function withFileOf<T>(fd: number, use: (file: number) => T): T | undefined {
  let file: number
  try {
    file = openSync(readlinkSync(`/proc/self/fd/${fd}`), noFollow)
  } catch {
    return undefined
  }
  try {
    const [found, wanted] = [fstatSync(file), fstatSync(fd)]
    const isSame = found.isFile() && found.dev === wanted.dev && found.ino === wanted.ino
    return isSame ? use(file) : undefined
  } finally {
    closeSync(file)
  }
}

function mayMount(): boolean {
  try {
    unshareMounts()
    return true
  } catch (error) {
    if (error instanceof SystemError && ['EPERM', 'ENOSYS'].includes(error.code)) return false
    throw error
  }
}

function mountAt(file: number, { path: place, writable }: PathMemory): true {
  if (look(place) === 'link') rmSync(place)
  const target = openPlace(place)
  try {
    checkFile(place, fstatSync(target))
    bindFile(file, target, { writable })
    return true
  } finally {
    closeSync(target)
  }
}

/** The mount needs a file below it, which stays when the command has ended. */
function openPlace(place: string): number {
  if (look(place) === 'file') return openSync(place, noFollow)
  return openSync(
    place,
    constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  )
}

function linkTo({ path: place, commandFd }: PathMemory): void {
  const target = `/proc/self/fd/${commandFd}`
  const there = look(place)
  if (there === 'file')
    throw new PathRefused(
      place,
      'an empty file is there, but this memory needs a link in its place; remove it',
    )
  if (there === 'link' && readlinkSync(place) === target) return
  const unfinished = `${place}.${process.pid}`
  symlinkSync(target, there === 'nothing' ? place : unfinished)
  if (there === 'link') renameSync(unfinished, place)
}

/** The command would fail for a reason that it can't know. */
function checkOpens({ fd, path: place, writable }: PathMemory): void {
  try {
    closeSync(openSync(`/proc/self/fd/${fd}`, writable ? constants.O_RDWR : constants.O_RDONLY))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    throw new PathRefused(
      place,
      `uid ${process.geteuid!()} may not open this memory by a path; open_by_path = true in its [[owner]] allows it`,
    )
  }
}
