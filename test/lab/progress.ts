/** Lines on standard error, each with the seconds since the beginning. */
export class Progress {
  private readonly from = performance.now()

  constructor(
    private readonly write: (line: string) => void = line => void process.stderr.write(`${line}\n`),
  ) {}

  get seconds(): number {
    return (performance.now() - this.from) / 1000
  }

  say(text: string): void {
    const time = `${this.seconds.toFixed(1).padStart(6)} s`
    for (const line of text.split('\n')) this.write(`${time}  ${line}`)
  }
}
