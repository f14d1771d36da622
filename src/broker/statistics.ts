import { type BrokerMethodName, brokerMethodNames } from '../../protocol/generated/broker'

/** Powers of two, so that the bucket of a time is the number of its bits: 1 us to 33 s. */
const bucketCount = 26
export const bucketsMicroseconds: readonly number[] = Array.from(
  { length: bucketCount },
  (_, bit) => 2 ** bit,
)

/** Calls of one method. Times in milliseconds, as the clock gives them. */
export class MethodRecord {
  calls = 0
  totalMs = 0
  readonly latency = new Array<number>(bucketCount + 1).fill(0)
  /** Calls that were refused, by error. */
  readonly errors = new Map<string, number>()

  count(elapsedMs: number): void {
    this.calls++
    this.totalMs += elapsedMs
    const bits = 32 - Math.clz32(Math.min(elapsedMs * 1000, 0xffffffff))
    this.latency[Math.min(bits, bucketCount)]!++
  }

  countError(error: string): void {
    this.errors.set(error, (this.errors.get(error) ?? 0) + 1)
  }

  get errorCount(): number {
    let sum = 0
    for (const count of this.errors.values()) sum += count
    return sum
  }
}

/** The broker's counters since its start. They cost every call, so they are a few additions. */
export class Statistics {
  readonly methods: Readonly<Record<BrokerMethodName, MethodRecord>>
  connections = 0
  eventsMissed = 0
  scrubbedBytes = 0
  digestedBytes = 0
  /** Pages that the kernel's log reported. */
  failedPages = 0

  constructor() {
    this.methods = Object.fromEntries(
      brokerMethodNames.map(name => [name, new MethodRecord()]),
    ) as unknown as Record<BrokerMethodName, MethodRecord>
  }
}
