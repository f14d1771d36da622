/** What is known of an allocation from what its client wrote down until the kernel was replaced. */
export interface Expected {
  name: string
  bytes: number
  /** yes: answered and never given back; maybe: the last request about it may or may not have been done; no: given back. */
  there: 'yes' | 'maybe' | 'no'
  /** Whether its pattern is known to be complete. */
  written: boolean
}

const meaning = { ask: 'maybe', got: 'yes', wrote: 'yes', give: 'maybe', gone: 'no' } as const

/** Read the log of churn.ts; its last line may be torn. */
export function readChurnLog(text: string): Map<string, Expected> {
  const known = new Map<string, Expected>()
  for (const line of text.split('\n').slice(0, -1)) {
    const [verb, name, bytes] = line.split(' ') as [keyof typeof meaning, string, string?]
    const expected = known.get(name) ?? { name, bytes: Number(bytes), there: 'no', written: false }
    known.set(name, expected)
    expected.there = meaning[verb]
    expected.written = verb === 'wrote'
  }
  return known
}
