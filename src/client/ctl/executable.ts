import { accessSync, constants, statSync } from 'node:fs'
import path from 'node:path'
import { exitCode, Failure } from './exit'

/**
 * The file that a command names, found as a shell does.
 * @throws Failure with exit code 127 when there is none, 126 when it can't be executed
 */
export function findExecutable(command: string, searchPath = process.env.PATH ?? '/usr/bin:/bin'): string {
  const named = command.includes('/')
  const candidates = named
    ? [command]
    : searchPath.split(':').map(directory => path.join(directory === '' ? '.' : directory, command))
  let denied: string | undefined
  for (const candidate of candidates) {
    const access = judge(candidate)
    if (access === 'executable') return candidate
    if (access === 'denied' || (access === 'hidden' && named)) denied ??= candidate
  }
  if (denied !== undefined)
    throw new Failure('CannotExecute', `${denied} is not an executable file`, exitCode.cannotExecute)
  throw new Failure('CommandNotFound', `there is no command ${JSON.stringify(command)}`, exitCode.notFound)
}

/** hidden: in a folder that this user may not look into. */
function judge(file: string): 'executable' | 'denied' | 'hidden' | 'absent' {
  try {
    if (!statSync(file).isFile()) return 'denied'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'hidden' : 'absent'
  }
  try {
    accessSync(file, constants.X_OK)
    return 'executable'
  } catch {
    return 'denied'
  }
}
