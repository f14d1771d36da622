import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * A start leaves as many objects behind as it keeps, and V8 would let the heap grow to four times of what it has before it looks for
 * them. It takes less than a twentieth of such a start; afterwards, requests would wait for it.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  setFlagsFromString('--no-expose-gc')
}
