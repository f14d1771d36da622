import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow, type Ended } from '../support/child'
import { sameFds, settledFds } from '../support/leaks-nothing'

const root = path.join(__dirname, '../..')

/** The addon's file, for plain JavaScript in child processes. */
export const addonFile: string =
  process.env.MEMBROKER_ADDON ?? require('node-gyp-build').path(path.join(root, 'native'))

/** Child scripts begin with this. */
const prelude = `
const addon = require(${JSON.stringify(addonFile)})
const fs = require('node:fs')
const quiet = { onData() {}, onEnd() {}, onDrain() {} }
`

export function childArguments(script: string, flags: string[] = []): string[] {
  return [...flags, '-e', prelude + script]
}

interface ChildOptions {
  flags?: string[]
  uid?: number
  /** Most descriptors the child may have. */
  fdsMax?: number
  env?: NodeJS.ProcessEnv
}

/** Runs a script in a plain Node process that has `addon`, `fs` and `quiet`. */
export function runChild(script: string, options: ChildOptions = {}): Ended {
  const args = childArguments(script, options.flags)
  const [file, argv] = options.fdsMax
    ? ['/bin/sh', ['-c', `ulimit -n ${options.fdsMax}; exec "$0" "$@"`, process.execPath, ...args]]
    : [process.execPath, args]
  return attemptNow(file, argv, {
    boundMs: 120_000,
    env: { ...process.env, ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
}

/** The child's output, when it ended with status 0. */
export function childOutput(script: string, options: ChildOptions = {}): string {
  const { status, signal, stdout, stderr } = runChild(script, options)
  if (status !== 0) throw new Error(`child ended with ${status ?? signal}\n${stdout}\n${stderr}`)
  return stdout.trim()
}

/** Checks around each test of a file that no descriptor stays open. */
export function checkFdLeaks(): void {
  let before: string[]
  beforeEach(async () => {
    before = await settledFds()
  })
  afterEach(() => sameFds(before))
}

export function scratchDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'membroker-native-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
