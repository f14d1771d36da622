import { inspect } from 'node:util'

/**
 * Emits a failure that no caller waits for as a process warning of type MembrokerWarning. Never throws, whatever the failure is:
 * undefined, a symbol, an object whose getters throw.
 */
export function warn(failure: unknown): void {
  const { message, detail } = describe(failure)
  process.emitWarning(message, { type: 'MembrokerWarning', ...(detail === undefined ? {} : { detail }) })
}

/** As text, because emitWarning takes only errors of this realm, and only strings besides. */
function describe(failure: unknown): { message: string; detail?: string } {
  try {
    const { message, stack } = Object(failure) as Partial<Record<'message' | 'stack', unknown>>
    if (typeof message === 'string')
      return typeof stack === 'string' ? { message, detail: stack } : { message }
    return { message: typeof failure === 'string' ? failure : `${inspect(failure)} was thrown` }
  } catch {
    return { message: 'something was thrown that can not be shown' }
  }
}
