/** Proves that the comparison of every commit misses no field of a record: it says what sameValue() says. */
import { type Change, sameChange, sameValue } from '../../protocol/table'
import { allocation, mapping, retired, sampleFreeze, samplePoison } from './support/sample'

const puts: Change[] = [
  { put: 'allocation', value: allocation(1) },
  { put: 'allocation', value: allocation(30, { successor: { pid: 1, start: 2 } }) },
  { put: 'mapping', value: mapping(4) },
  { put: 'mapping', value: mapping(7, { holder: null }) },
  { put: 'retired', value: retired(1) },
  { put: 'poison', value: samplePoison },
  { put: 'control', value: sampleFreeze },
]

/** The value with one thing in it changed, for each thing, however deep. */
function* changed(value: unknown): Generator<unknown> {
  yield value === null ? 1 : null
  if (typeof value === 'number') yield value + 1
  if (typeof value === 'string') yield `${value}x`
  if (typeof value !== 'object' || value === null) return
  const copy = () => (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>
  for (const [key, part] of Object.entries(value))
    for (const other of changed(part)) yield Object.assign(copy(), { [key]: other })
  if (!Array.isArray(value)) for (const key in value) yield Object.assign(copy(), { [key]: undefined })
  yield Object.assign(copy(), { [Array.isArray(value) ? value.length : 'more']: 1 })
}

test.each(puts.map(put => [JSON.stringify(put), put] as const))('%s', (_, put) => {
  const { value } = put as { value: object }
  const same = structuredClone(put)
  expect([sameChange(put, same), sameValue(put, same)]).toEqual([true, true])
  let differences = 0
  for (const other of changed(value)) {
    if (other === null) continue
    const change = { ...put, value: other } as Change
    expect([other, sameChange(change, put)]).toEqual([other, false])
    expect(sameValue(change, put)).toBe(false)
    differences += 1
  }
  expect(differences).toBeGreaterThan(Object.keys(value).length)
  const { id } = put as unknown as { id: number }
  for (const other of [
    { delete: 'mapping', key: id },
    { ...puts[0]!, value },
    puts.find(one => one !== put)!,
  ])
    expect(sameChange(put, other as Change)).toBe(sameValue(put, other))
})
