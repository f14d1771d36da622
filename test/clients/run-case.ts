import type { TestBroker } from '../support/test-broker'
import type { Call, Case } from './cases'
import { type Answer, Driver, type Language } from './driver-process'

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
    if (typeof value === 'string') return value.replaceAll(own, '%')
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
    answers.push(seen)
    const where = `${one.name}: ${language} ${step.by} ${step.do} ${JSON.stringify(step.with ?? {})}`
    if (step.fails === undefined) {
      const gives = plain(step.gives ?? seen.result)
      if (typeof gives === 'object' && gives !== null && seen.result !== undefined)
        expect({ where, gives: seen.result }).toMatchObject({ where, gives })
      else expect({ where, ...seen }).toEqual({ where, result: gives })
      return
    }
    const fails = typeof step.fails === 'string' ? { code: step.fails } : step.fails
    expect({ where, ...seen }).toMatchObject({ where, error: fails })
  }

  /** With this library's names; '@name' of a mapping is its number. */
  const argumentsOf = (step: Call) => JSON.parse(JSON.stringify(step.with ?? {}).replaceAll('%', own))

  for (const step of one.steps) {
    if ('broker' in step) {
      if (step.broker !== 'start') await broker.kill()
      if (step.broker !== 'kill') await broker.start()
    } else if ('ends' in step) {
      const driver = drivers.get(step.ends)!
      drivers.delete(step.ends)
      ended.set(driver.pid, step.ends)
      await driver.end()
    } else {
      const driver = await driverOf(step.by)
      const done = driver.call(step.do, argumentsOf(step)).then(answer => judge(step, answer))
      if (step.meanwhile) {
        done.catch(() => {})
        running.push(done)
      } else await done
    }
  }
  await Promise.all(running)
  for (const driver of drivers.values()) await driver.end()
  return answers
}
