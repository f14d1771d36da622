import { aborted } from './errors'

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal)
}

/**
 * The promise's outcome, or an Aborted error as soon as the signal fires. A value that arrives later goes to discard,
 * which frees its descriptors; nobody needs a late rejection.
 */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  discard: (late: T) => void = () => {},
): Promise<T> {
  if (!signal) return promise
  return new Promise<T>((resolve, reject) => {
    let waiting = true
    const onAbort = () => {
      waiting = false
      reject(aborted(signal))
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(
      value => {
        signal.removeEventListener('abort', onAbort)
        if (waiting) resolve(value)
        else discard(value)
      },
      error => {
        signal.removeEventListener('abort', onAbort)
        reject(error)
      },
    )
  })
}
