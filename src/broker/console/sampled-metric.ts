type Read = () => number | Sample[] | Promise<Sample[]>
export const gauge = (name: string, help: string, read: Read) => new SampledMetric('gauge', name, help, read)
export const counter = (name: string, help: string, read: Read) =>
  new SampledMetric('counter', name, help, read)

/** One line of a metric. suffix: tells apart the lines of one histogram. */
export interface Sample {
  labels?: Record<string, string | number>
  value: number
  suffix?: '_bucket' | '_sum' | '_count'
}

/** A metric that reads its value at the moment of the request, in the form for prom-client's registry. */
export class SampledMetric {
  constructor(
    readonly type: 'gauge' | 'counter' | 'histogram',
    readonly name: string,
    readonly help: string,
    private readonly read: Read,
  ) {}

  async get(): Promise<object> {
    const result = await this.read()
    const samples = typeof result === 'number' ? [{ value: result }] : result
    const values = samples.map(({ labels = {}, value, suffix }: Sample) => ({
      labels,
      value,
      metricName: this.name + (suffix ?? ''),
    }))
    return { name: this.name, help: this.help, type: this.type, values, aggregator: 'sum' }
  }
}
