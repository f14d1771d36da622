import { BrokerError } from '../index'

/** The promise's value, or undefined where the broker refuses with that code. */
export async function unless<T>(code: string, promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof BrokerError && error.code === code) return undefined
    throw error
  }
}
