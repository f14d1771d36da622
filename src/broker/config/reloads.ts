/** Reads a configuration again for everybody who has asked for it. */
export type Reread<Caller, Result> = (callers: readonly Caller[]) => Promise<Result>

/** One reload at a time. Who asks while one is under way shares the next: it reads the file after all of them have asked. */
export class Reloads<Caller, Result> {
  private last: Promise<unknown> = Promise.resolve()
  private next: { callers: Caller[]; done: Promise<Result> } | undefined

  constructor(private readonly reread: Reread<Caller, Result>) {}

  ask(caller: Caller): Promise<Result> {
    this.next ??= this.plan()
    this.next.callers.push(caller)
    return this.next.done
  }

  private plan() {
    const callers: Caller[] = []
    const done = this.last.then(() => {
      this.next = undefined
      return this.reread(callers)
    })
    this.last = done.catch(() => {})
    return { callers, done }
  }
}
