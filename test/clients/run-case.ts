import { releaseEverything } from '../support/leaks-nothing'
import { type TestBroker, until } from '../support/test-broker'
import type { Call, Case } from './cases'
import { type Answer, Driver, type Language } from './driver-process'

const ownErrors = new Set(['BrokerUnreachable', 'ConnectionLost', 'MappingRevoked', 'ProtocolViolation'])

/** As toMatchObject judges. */
function isSubset(part: unknown, whole: unknown): boolean {
  if (typeof part !== 'object' || part === null || typeof whole !== 'object' || whole === null)
    return part === whole
  if (Array.isArray(part) && part.length !== (whole as unknown[]).length) return false
  return Object.entries(part).every(([key, value]) =>
    isSubset(value, (whole as Record<string, unknown>)[key]),
  )
}

/** An administrator's program that leads an update of the host. */
class Operator {
  private readonly client
  private id = 0
  private state = ''
  private readonly paused = new Map<number, string | null>()

  constructor(private readonly broker: TestBroker) {
    this.client = broker.client()
  }

  async begin(): Promise<void> {
    const replies = this.client.stream('BeginUpdate', { reason: 'a new kernel', deadlineMs: 60_000 })
    this.state = ''
    this.paused.clear()
    const follow = async () => {
      for await (const { update, participants } of replies) {
        this.id = update.id
        this.state = update.state
        for (const { id, staysPaused, detail } of participants)
          if (staysPaused === true) this.paused.set(id, detail ?? null)
      }
    }
    follow().catch(() => {})
    await until(() => this.state !== '', 'the update has begun')
  }

  async ready(): Promise<void> {
    await until(() => this.state === 'ready', 'the participants are ready')
  }

  async failed(): Promise<void> {
    await until(() => this.state === 'failed', 'a participant is not ready')
  }

  async staysPaused(): Promise<void> {
    await until(() => this.paused.size > 0, 'a participant says that it stays paused')
    expect([...this.paused.values()]).toEqual(['it is stuck'])
  }

  async cancel(): Promise<void> {
    await this.broker.ask('CancelUpdate', { update: this.id, reason: 'not today' })
    await until(() => this.state === 'cancelled', 'the update is called off')
  }

  close(): void {
    this.client.close()
  }
}

/**
 * Runs a case with one library, and demands what it says of each step. The answers come back without what can't be the same twice: names have
 * no language, pids are processes' names, numbers of allocations and mappings count from 1.
 */
export async function runCase(broker: TestBroker, one: Case, language: Language): Promise<unknown[]> {
  const drivers = new Map<string, Driver>()
  const ended = new Map<number, string>()
  const mappingIds = new Map<unknown, number>()
  const allocationIds = new Map<unknown, number>()
  const answers: unknown[] = []
  const running: Array<Promise<void>> = []
  const own = `of-${language}`

  const processOf = (pid: unknown) =>
    [...drivers].find(([, driver]) => driver.pid === pid)?.[0] ?? ended.get(pid as number) ?? pid

  async function driverOf(name: string): Promise<Driver> {
    const known = drivers.get(name)
    if (known) return known
    const driver = new Driver(language)
    drivers.set(name, driver)
    expect(await driver.call('connect', { socket: broker.socket })).toEqual({ result: 'connected' })
    return driver
  }

  /** Of a mapping, or of an allocation; each counts from 1. */
  function numberOf(isMapping: boolean, id: unknown): number {
    const known = isMapping ? mappingIds : allocationIds
    if (!known.has(id)) known.set(id, known.size + 1)
    return known.get(id)!
  }

  /** Absent and null are the same in the protocol, and members come in any order. */
  function plain(value: unknown, key = ''): unknown {
    if (typeof value === 'string') return value.replaceAll(own, '%').replace(/process \d+/g, 'process N')
    if (key === 'pid' || key === 'holderPid' || key === 'successorPid') return processOf(value)
    if (key === 'metadata') return value
    if (key === 'extents') return (value as Array<{ length: number }>).map(({ length }) => length)
    if (Array.isArray(value)) return value.map(entry => plain(entry))
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value).filter(
      ([name, entry]) => name !== 'message' && (entry ?? undefined) !== undefined,
    )
    return Object.fromEntries(
      entries.map(([name, entry]) => [
        name,
        name === 'id' ? numberOf('allocation' in value, entry) : plain(entry, name),
      ]),
    )
  }

  function judge(step: Call, answer: Answer): void {
    const seen = plain(answer) as Answer
    // The libraries' own errors have parameters of their own.
    if (seen.error && ownErrors.has(seen.error.code)) seen.error.parameters = {}
    answers.push(seen)
    const where = `${one.name}: ${language} ${step.by} ${step.do} ${JSON.stringify(step.with ?? {})}`
    if (step.fails === undefined) {
      if (step.gives === undefined) {
        expect({ where, error: seen.error }).toEqual({ where, error: undefined })
        return
      }
      const gives = plain(step.gives)
      if (typeof gives === 'object' && gives !== null && seen.result !== undefined)
        expect({ where, gives: seen.result }).toMatchObject({ where, gives })
      else expect({ where, ...seen }).toEqual({ where, result: gives })
      return
    }
    const fails = typeof step.fails === 'string' ? { code: step.fails } : step.fails
    expect({ where, ...seen }).toMatchObject({ where, error: fails })
  }

  const mappings = new Map<string, unknown>([['@socket', broker.socket]])

  /** With this library's names, and what its words for the broker's things stand for. */
  const argumentsOf = (step: Call) => {
    const text = JSON.stringify(step.with ?? {}).replaceAll('%', own)
    return JSON.parse(text, (_, value) => (mappings.has(value) ? mappings.get(value) : value))
  }

  /** Numbers of mappings, by the names that the case has for them. */
  function remember({ with: args }: Call, { result }: Answer): void {
    const { as } = args ?? {}
    const { id, claimed = [] } = (result ?? {}) as {
      id?: number
      claimed?: Array<{ mappings: Array<{ id: number }> }>
    }
    if (as === undefined) return
    if (id !== undefined) mappings.set(`@${as}`, id)
    for (const [index, one] of claimed.flatMap(({ mappings }) => mappings).entries())
      mappings.set(`@${as}${index}`, one.id)
  }

  /** Again until it gives what is awaited: it comes by itself, some time. */
  async function askUntil(driver: Driver, step: Call): Promise<Answer> {
    let answer: Answer = {}
    await until(
      async () => {
        answer = await driver.call(step.do, argumentsOf(step))
        return isSubset(plain(step.gives), (plain(answer) as Answer).result)
      },
      `${one.name}: ${JSON.stringify(step)}`,
    )
    return answer
  }

  const operator = new Operator(broker)
  for (const step of one.steps) {
    if ('broker' in step) {
      if (step.broker !== 'start') await broker.kill()
      if (step.broker !== 'kill') await broker.start()
    } else if ('update' in step) await operator[step.update]()
    else if ('ends' in step) {
      const driver = drivers.get(step.ends)!
      drivers.delete(step.ends)
      ended.set(driver.pid, step.ends)
      await driver.end()
    } else {
      const driver = await driverOf(step.by)
      const done = (step.until ? askUntil(driver, step) : driver.call(step.do, argumentsOf(step))).then(
        answer => {
          remember(step, answer)
          judge(step, answer)
        },
      )
      if (step.meanwhile) {
        done.catch(() => {})
        running.push(done)
      } else await done
    }
  }
  await Promise.all(running)
  operator.close()
  for (const driver of drivers.values()) await driver.end()
  await releaseEverything(broker)
  return answers
}
