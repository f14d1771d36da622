/**
 * Proves what an update finds at risk, by what the ranges and allocations say that they can do: before it, while the broker is
 * frozen, and by what the service manager does with its fd store.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { participantsPerStart } from '../../../protocol/wire/limits'
import type { Broker, Participant, Update } from '../../../src/client'
import { weighed } from '../../../src/client/ctl/host/next-kernel'
import { Ignored } from '../../../src/client/ctl/update/ignored'
import { risksText } from '../../../src/client/ctl/update/plan'
import { Standing } from '../../../src/client/ctl/update/standing'
import {
  placesWhenStopped,
  type StoppedStore,
  whyStoreEnds,
} from '../../../src/client/ctl/update/stopped-store'
import { surveyFrozen, surveyHost } from '../../../src/client/ctl/update/survey'
import { until } from '../../support/until'

let parent: ChildProcess | undefined
afterEach(() => void parent?.kill())

interface Can {
  survivesKexec: boolean
  freezePreserves?: boolean
}

/** A host with allocations in a range of that kind: by name, what each says of itself. holderPid: of all. */
function host(
  source: string,
  capabilities: Can,
  survives: Record<string, boolean | undefined> = { 'db/a': undefined },
  holderPid: number | null = null,
): Broker {
  const stub: Record<string, unknown> = {
    update: async () => ({ participants: [] }),
    ranges: async () => [
      { name: 'main', source, capabilities, state: 'online', allocations: 1, table: { recovery: 'newBoot' } },
    ],
    async *list() {
      for (const [name, survivesKexec] of Object.entries(survives)) {
        const allocation = { name, uid: 7, range: 'main', bytes: 4096, mappings: 0, shares: [] }
        yield { ...allocation, holderPid, survivesKexec }
      }
    },
  }
  return stub as unknown as Broker
}

const { signal } = new AbortController()

const risksOf = async (source: string, can: Can, stopLoses: string | undefined) => {
  const { risks } = await surveyHost(host(source, can), async () => stopLoses, signal)
  return risks.map(({ kind }) => kind)
}

const risksFrozen = async (broker: Broker, stopLoses?: string, known: readonly Participant[] = []) =>
  (await surveyFrozen(broker, async () => stopLoses, known, signal)).risks

test.each<[string, Can, string | undefined, string[]]>([
  ['devdax', { survivesKexec: true }, 'old', []],
  ['memfd', { survivesKexec: true, freezePreserves: false }, undefined, []],
  ['memfd', { survivesKexec: false, freezePreserves: true }, undefined, []],
  ['memfd', { survivesKexec: false, freezePreserves: true }, 'old', ['endsWithService']],
  ['memfd', { survivesKexec: false, freezePreserves: false }, undefined, ['memoryEnds']],
  ['directory', { survivesKexec: false }, undefined, ['memoryEnds']],
])('memory of %s that can do %p, where a stop loses it: %p: %p', async (source, can, stops, risks) => {
  await expect(risksOf(source, can, stops)).resolves.toEqual(risks)
})

test('of a range that the kernel preserves in part, only the rest is at risk, and names may lose it', async () => {
  const survives = { 'db/a': true, 'db/b': false, 'vm-1/ram': false }
  const always = host('memfd', { survivesKexec: false }, survives)
  const before = (await surveyHost(always, undefined, signal)).risks
  expect(before.map(({ allocation }) => allocation)).toEqual(['db/b', 'vm-1/ram'])
  const frozen = host('memfd', { survivesKexec: false, freezePreserves: true }, survives)
  const risks = await risksFrozen(frozen)
  expect(risks.map(({ allocation }) => allocation)).toEqual(['db/b', 'vm-1/ram'])
  expect(risksText(new Ignored(['db/*']).rest(risks))).toMatch(
    /^vm-1\/ram \(uid 7\) is in range main, and the kernel does not preserve it/,
  )
  expect(new Ignored(['db/*', '7:vm-1/*']).rest(risks)).toEqual([])
  await expect(risksFrozen(host('memfd', { survivesKexec: true, freezePreserves: true }))).resolves.toEqual(
    [],
  )
})

test('who has left, or came too late, is at risk when all is frozen; who has saved and ended is not', async () => {
  const held = host('devdax', { survivesKexec: true }, { 'db/a': undefined }, process.pid)
  const db = { uid: 7, name: 'db', pid: process.pid, state: 'ready', waitedFor: true } as Participant
  await expect(risksFrozen(held)).resolves.toMatchObject([{ allocation: 'db/a', kind: 'takesNoPart' }])
  await expect(risksFrozen(held, undefined, [db])).resolves.toEqual([])
  await expect(risksFrozen(held, undefined, [{ ...db, pid: 1, name: 'vm' }])).resolves.toHaveLength(1)
  const stored = host('memfd', { survivesKexec: true })
  await expect(risksFrozen(stored, 'old')).resolves.toMatchObject([{ kind: 'endsWithService', why: 'old' }])
})

test.each<[string, Can, Record<string, boolean | undefined>, boolean]>([
  ['nothing', { survivesKexec: false, freezePreserves: true }, {}, true],
  ['nothing, always', { survivesKexec: true }, {}, true],
  ['what a kernel without the feature does not preserve', { survivesKexec: false }, { a: undefined }, true],
  ['what is preserved in part', { survivesKexec: false }, { a: false, b: true }, false],
  ['what a freeze preserves', { survivesKexec: false, freezePreserves: true }, { a: undefined }, false],
  ['what is preserved', { survivesKexec: true }, { a: undefined }, false],
])('a range with %s: another release only warns of it: %p %p: %p', async (_what, can, survives, warns) => {
  const found = host('memfd', can, survives)
  for (const { withoutPreserved } of [
    await surveyHost(found, undefined, signal),
    await surveyFrozen(found, undefined, [], signal),
  ]) {
    const findings = ['release', 'loader', 'parameter'].map(id => ({
      ...{ id, range: 'main', result: 'lost' as const, reason: 'so' },
    }))
    const check = { good: false, commandLine: '', ranges: [], findings }
    const result = warns ? 'warning' : 'lost'
    expect(weighed(check, withoutPreserved)).toMatchObject({
      good: false,
      findings: [{ result }, { result }, { result: 'lost' }],
    })
    expect(weighed({ ...check, findings: findings.slice(0, 2) }, withoutPreserved).good).toBe(warns)
  }
})

test('who may lose what it has not saved is known when all is frozen, though no broker names it any more', () => {
  const standing = new Standing(new Ignored(['db']))
  const row = { uid: 7, pid: 4711, waitedFor: true, answeredAfterMs: null, detail: null }
  const rows = ['vm', 'db', 'web'].map((name, id) => ({
    ...{ ...row, id, name },
    state: name === 'vm' ? ('ready' as const) : ('asked' as const),
  }))
  standing.note({} as Update, rows)
  // A restarted broker names only who has come back.
  standing.note({} as Update, [{ ...rows[0]!, id: participantsPerStart }])
  expect(standing.known.map(({ name }) => name).sort()).toEqual(['db', 'vm'])
})

test('participants of one process and one name are several, also after the broker restarted', () => {
  const standing = new Standing(new Ignored([]))
  const one = { uid: 7, pid: 4711, name: 'vm', waitedFor: true, answeredAfterMs: null, detail: null }
  const states = () => standing.participants.map(({ id, state }) => [id % participantsPerStart, state])
  const note = (start: number, ...rows: Array<[number, Participant['state']]>) =>
    standing.note(
      { state: 'preparing' } as Update,
      rows.map(([id, state]) => ({ ...one, id: start * participantsPerStart + id, state })),
    )
  note(3, [1, 'asked'], [2, 'asked'])
  note(3, [1, 'ready'])
  expect(states()).toEqual([
    [1, 'ready'],
    [2, 'asked'],
  ])
  note(5, [8, 'asked'])
  note(5, [9, 'asked'], [8, 'ready'])
  expect(states()).toEqual([
    [8, 'ready'],
    [9, 'asked'],
  ])
  expect(standing.decide(true)).toMatchObject({ kind: 'callOff' })
})

test('who was ready and is not there is missed only at a broker that has restarted', async () => {
  const script = 'sleep 600 & echo $!; exec sleep 600'
  parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const zombie = Number(await once(parent.stdout!, 'data'))
  const status = (pid: number) => readFileSync(`/proc/${pid}/status`, 'utf8')
  await until(() => /^Name:\tsleep$/m.test(status(parent!.pid!)), 'its parent asks for no child')
  process.kill(zombie)
  await until(() => /^State:\tZ/m.test(status(zombie)), 'it has ended')
  const standing = new Standing(new Ignored([]))
  const row = (id: number, name: string, pid: number): Participant => ({
    ...{ id, name, pid, uid: 7, waitedFor: true, answeredAfterMs: 1, detail: null },
    state: 'ready',
  })
  const lives = row(1, 'lives', process.pid)
  const ended = row(2, 'ended', 2 ** 22)
  const unasked = row(4, 'unasked', zombie)
  const back = row(3, 'back', process.pid)
  standing.note({} as Update, [lives, ended, unasked, back])
  // It has given its memory up, and left.
  expect(standing.whyAway([back])).toBeUndefined()
  const again = { ...back, id: participantsPerStart + 1 }
  standing.note({} as Update, [again])
  expect(standing.whyAway([again])).toBe(
    `lives (pid ${process.pid}, uid 7) was ready before the broker restarted, and has not come back`,
  )
})

test('what the kernel preserves of a range in part ends with the service too, and takes two places there', async () => {
  const always = host('memfd', { survivesKexec: false, freezePreserves: false }, { a: true, b: false })
  const { risks } = await surveyHost(always, async () => 'old', signal)
  expect(risks).toMatchObject([
    { allocation: 'a', kind: 'endsWithService', why: 'old' },
    { allocation: 'b', kind: 'memoryEnds' },
  ])
  await expect(placesWhenStopped(always, await always.ranges(), signal)).resolves.toBe(4)
  const tableOnly = host('memfd', { survivesKexec: false, freezePreserves: false }, { b: false })
  await expect(placesWhenStopped(tableOnly, await tableOnly.ranges(), signal)).resolves.toBe(3)
  const none = host('memfd', { survivesKexec: false, freezePreserves: false })
  await expect(placesWhenStopped(none, await none.ranges(), signal)).resolves.toBe(2)
})

const store: StoppedStore = {
  ...{ unit: 'membroker.service', version: '261.1-1', preserve: true, size: 100, places: 100 },
}

test.each<[string, Partial<StoppedStore>, RegExp | undefined]>([
  ['it works', {}, undefined],
  ['a candidate of the first release', { version: '261~rc2-1' }, undefined],
  ['an older systemd', { version: '260.2-1' }, /systemd 260.2-1 passes no fd store .* needs 261/],
  ['a systemd that says nothing', { version: '' }, /needs 261/],
  ['a unit that keeps nothing', { preserve: false }, /FileDescriptorStorePreserve=yes/],
  ['a store that is too small', { places: 101 }, /room for 100 descriptors .*, and 101 have to be in it/],
])('systemctl kexec with an fd store: %s', (_case, change, why) => {
  const found = whyStoreEnds({ ...store, ...change })
  if (why) expect(found).toMatch(why)
  else expect(found).toBeUndefined()
})
