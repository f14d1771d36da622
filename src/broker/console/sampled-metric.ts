/** One line of a metric. suffix: of the lines that belong together in a histogram. */
export interface Sample {
  labels?: Record<string, string | number>
  value: number
  suffix?: '_bucket' | '_sum' | '_count'
}

/** A metric that a request reads at that moment; the shape that a registry of prom-client takes. */
export class SampledMetric {
  constructor(
    readonly type: 'gauge' | 'counter' | 'histogram',
    readonly name: string,
    readonly help: string,
    private readonly read: () => number | Sample[],
  ) {}

  async get(): Promise<object> {
    const result = this.read()
    const samples = typeof result === 'number' ? [{ value: result }] : result
    const values = samples.map(({ labels = {}, value, suffix }: Sample) => ({
      labels,
      value,
      metricName: this.name + (suffix ?? ''),
    }))
    return { name: this.name, help: this.help, type: this.type, values, aggregator: 'sum' }
  }
}
