import type { TestBroker } from './test-broker'

/** A well-behaved client beside an attack: it goes on asking, one call after the other, and each must be answered. */
export class Witness {
  private stopped = false
  private readonly asking: Promise<void>
  answers = 0
  worstMs = 0

  constructor(broker: TestBroker) {
    const client = broker.client()
    this.asking = (async () => {
      while (!this.stopped) {
        const from = performance.now()
        await client.call('GetStatus', {})
        this.worstMs = Math.max(this.worstMs, performance.now() - from)
        this.answers++
        await new Promise(resolve => setTimeout(resolve, 1))
      }
      client.close()
    })()
    this.asking.catch(() => {})
  }

  /** A bound on being blocked, not on speed: the machine may be busy with other things. */
  async demandAnswers(boundMs = 30_000): Promise<void> {
    this.stopped = true
    await this.asking
    expect(this.answers).toBeGreaterThan(0)
    expect(this.worstMs).toBeLessThan(boundMs)
  }
}
