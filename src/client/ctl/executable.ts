import { accessSync, constants, statSync } from 'node:fs'
import path from 'node:path'
import { exitCode, Failure } from './exit'

/**
 * The file that a command names, found as a shell does.
 * @throws Failure with exit code 127 when there is none, 126 when it can't be executed
 */
export function findExecutable(command: string, searchPath = process.env.PATH ?? '/usr/bin:/bin'): string {
  const candidates = command.includes('/')
    ? [command]
    : searchPath.split(':').map(directory => path.join(directory === '' ? '.' : directory, command))
  let denied: string | undefined
  for (const candidate of candidates) {
    const verdict = judge(candidate)
    if (verdict === 'executable') return candidate
    if (verdict === 'denied') denied ??= candidate
  }
  if (denied !== undefined)
    throw new Failure('CannotExecute', `${denied} is not an executable file`, exitCode.cannotExecute)
  throw new Failure('CommandNotFound', `there is no command ${JSON.stringify(command)}`, exitCode.notFound)
}

function judge(file: string): 'executable' | 'denied' | 'absent' {
  try {
    if (!statSync(file).isFile()) return 'denied'
    accessSync(file, constants.X_OK)
    return 'executable'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'denied' : 'absent'
  }
}
