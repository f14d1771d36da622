#!/usr/bin/env node
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { Script } from 'node:vm'
import { crc32 } from 'node:zlib'

/**
 * Starts a program of the package. Each is a copy of this file, NAME.js, beside NAME.bundle.js, which is one function with all
 * that the program needs. Where record.mjs has been, NAME.cache is what V8 made of that function's code: reading it is
 * quicker than compiling. V8 checks its own version, its flags and the source's length; the rest is checked here.
 */
interface Program {
  readonly script: Script
  readonly run: () => void
}

const checksumBytes = 8

/** file: the copy of this one. */
export function load(file: string): Program {
  const [bundle, cache] = ['.bundle.js', '.cache'].map(ending => file.replace(/\.js$/, ending)) as [
    string,
    string,
  ]
  const { bytes, stat } = read(bundle)
  const cachedData = readCache(cache, bytes, stat)
  const script = new Script(bytes.toString('latin1'), { filename: bundle, ...(cachedData && { cachedData }) })
  const run = () =>
    script.runInThisContext()(requireLazily(createRequire(bundle)), {}, bundle, path.dirname(bundle))
  return { script, run }
}

/** Modules of Node of which most starts use nothing: loaded when a function of theirs is asked for. */
const rare = /^(node:)?(child_process|crypto|http|net|readline|worker_threads)$/

function requireLazily(require: NodeJS.Require): NodeJS.Require {
  const lazy = (name: string) =>
    rare.test(name) ? new Proxy({}, { get: (_, key) => require(name)[key] }) : require(name)
  return Object.assign(lazy, require)
}

/** What record.mjs writes, for a program that has run. */
export function cacheOf(file: string, script: Script): Buffer {
  const code = script.createCachedData()
  return Buffer.concat([checksums(readFileSync(file.replace(/\.js$/, '.bundle.js')), code), code])
}

function checksums(bundle: Buffer, code: Buffer): Buffer {
  const bytes = Buffer.alloc(checksumBytes)
  bytes.writeUInt32LE(crc32(bundle), 0)
  bytes.writeUInt32LE(crc32(code), 4)
  return bytes
}

/** Who may replace the bundle may replace its cache, and nobody else. A cache that is torn or of another bundle counts for nothing. */
function readCache(file: string, bundle: Buffer, { uid }: Stats): Buffer | undefined {
  try {
    const { bytes, stat } = read(file)
    if (stat.uid !== uid || (stat.mode & 0o022) !== 0) return undefined
    const code = bytes.subarray(checksumBytes)
    return checksums(bundle, code).equals(bytes.subarray(0, checksumBytes)) ? code : undefined
  } catch {
    return undefined
  }
}

function read(file: string): { bytes: Buffer; stat: Stats } {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    return { bytes: readFileSync(fd), stat: fstatSync(fd) }
  } finally {
    closeSync(fd)
  }
}

/** Stacks name the sources, as far as they can be read. */
function showSources(): void {
  Error.prepareStackTrace = (error, sites) => {
    try {
      const { describe } = require('./stack') as typeof import('./stack')
      return describe(error, sites)
    } catch {
      // A program without a free descriptor can't read that file. To tell of the error must not end it.
      return [Error.prototype.toString.call(error), ...sites].join('\n    at ')
    }
  }
}

if (require.main === module) {
  showSources()
  load(__filename).run()
}
