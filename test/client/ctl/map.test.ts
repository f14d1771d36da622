/** Proves that the memory map shows each extent's state, computed from the broker's answers, in any width. */
import type { Poison, Range, Retired } from '../../../src/client'
import { drawMap } from '../../../src/client/ctl/map/draw'
import { type Findings, layOut, within } from '../../../src/client/ctl/map/layout'
import { cellsOf } from '../../../src/client/ctl/terminal/cells'
import { range } from '../support/records'

const KiB = 1024
const MiB = 1024 * KiB
const plain = { unicode: false, colors: false }

const findings = (changes: Partial<Omit<Findings, 'range'>> & { range?: Partial<Range> }): Findings => ({
  allocations: [],
  retired: [],
  poison: [],
  seesAll: true,
  ...changes,
  range: { ...range, bytes: 16 * MiB, freeBytes: 16 * MiB, allocatedBytes: 0, ...changes.range } as Range,
})
const retired = (state: Retired['state'], offset: number, length: number): Retired =>
  ({ state, allocation: 'old', extents: [{ offset, length }] }) as Retired
const poison = (offset: number, length: number): Poison => ({ offset, length, allocation: null }) as Poison

const example = findings({
  range: {
    freeBytes: 9 * MiB,
    largestFreeBytes: 6 * MiB,
    freeExtents: 2,
    allocatedBytes: 3 * MiB,
    scrubbingBytes: MiB,
    quarantinedBytes: MiB,
    poisonedBytes: MiB,
  },
  allocations: [
    { name: 'a', offset: 2 * MiB, length: MiB },
    { name: 'b', offset: 6 * MiB, length: 2 * MiB },
  ],
  retired: [retired('scrubbing', 3 * MiB, MiB), retired('quarantined', 9 * MiB, MiB)],
  poison: [poison(15 * MiB, MiB)],
})

test('every byte of a range is accounted for, once', () => {
  // Proves the whole picture: the table at the start, memory in use, retired, bad and free, in order and without gaps.
  const { extents } = layOut(example)
  expect(
    extents.map(({ offset, length, state, allocation }) => [offset / MiB, length / MiB, state, allocation]),
  ).toEqual([
    [0, 1, 'table', null],
    [1, 1, 'free', null],
    [2, 1, 'allocated', 'a'],
    [3, 1, 'scrubbing', 'old'],
    [4, 2, 'free', null],
    [6, 2, 'allocated', 'b'],
    [8, 1, 'free', null],
    [9, 1, 'quarantined', 'old'],
    [10, 5, 'free', null],
    [15, 1, 'poisoned', null],
  ])
})

test('bad memory inside an allocation is shown, and whose it is', () => {
  const { extents } = layOut(
    findings({
      range: { freeBytes: 12 * MiB, allocatedBytes: 4 * MiB },
      allocations: [{ name: 'a', offset: 0, length: 4 * MiB }],
      poison: [poison(MiB, 4 * KiB), poison(2 * MiB, 4 * KiB)],
    }),
  )
  expect(extents.map(({ length, state, allocation }) => [length / KiB, state, allocation])).toEqual([
    [1024, 'allocated', 'a'],
    [4, 'poisoned', 'a'],
    [1020, 'allocated', 'a'],
    [4, 'poisoned', 'a'],
    [2044, 'allocated', 'a'],
    [12 * 1024, 'free', null],
  ])
})

test('who does not see all is not told that it is free', () => {
  // Proves that other users' memory never looks free, nor what can't be read.
  const hidden = layOut(findings({ seesAll: false, allocations: [{ name: 'mine', offset: 0, length: MiB }] }))
  expect(hidden.extents.map(({ state }) => state)).toEqual(['allocated', 'unknown'])
  const unreadable = layOut(
    findings({
      range: { freeBytes: 0, table: { ...range.table, recovery: 'unreadable' } as Range['table'] },
    }),
  )
  expect(unreadable.extents.map(({ state, length }) => [state, length])).toEqual([['unknown', 16 * MiB]])
})

test('what changed while it was read does not break the picture', () => {
  // Proves that overlaps, as a busy broker gives them, are cut, and that nothing lies beyond the end.
  const { extents } = layOut(
    findings({
      range: { freeBytes: 14 * MiB, allocatedBytes: 2 * MiB },
      allocations: [
        { name: 'a', offset: 0, length: 4 * MiB },
        { name: 'b', offset: 2 * MiB, length: 4 * MiB },
        { name: 'c', offset: 15 * MiB, length: 4 * MiB },
      ],
    }),
  )
  expect(extents.map(({ offset, length, allocation }) => [offset / MiB, length / MiB, allocation])).toEqual([
    [0, 4, 'a'],
    [4, 2, 'b'],
    [6, 9, null],
    [15, 1, 'c'],
  ])
})

test('it is drawn in the width there is, with addresses that are even', () => {
  // Proves the drawing itself, its legend, the line on fragmentation, and that a cell shows what needs attention most.
  const lines = drawMap(layOut(example), 26, plain, false)
  const row = (at: string, mark: string) => `0x00${at}00000  ${mark.repeat(8)}`
  expect(lines).toEqual([
    'main  16 MiB',
    ...[...'T.#s..##.Q.....!'].map((mark, i) => row(i.toString(16), mark)),
    expect.stringMatching(/^\. free {3}# allocated {3}T table .* ! poisoned .* one cell is 128 KiB$/),
    '9 MiB free in 2 extents; the largest, 6 MiB, is 66 % of it',
  ])
  for (const width of [1, 20, 80, 200, 1000])
    for (const line of drawMap(layOut(example), width, { unicode: true, colors: true }, false).slice(1, -2))
      expect(cellsOf(line)).toBeLessThanOrEqual(Math.max(width, 20))
})

test('a cell that is partly allocated shows how much of it', () => {
  const layout = layOut(
    findings({
      allocations: [{ name: 'a', offset: 0, length: 64 * KiB }],
      range: { bytes: 2 ** 30, freeBytes: 2 ** 30 - 64 * KiB, allocatedBytes: 64 * KiB },
    }),
  )
  expect(drawMap(layout, 80, { unicode: true, colors: false }, false)[1]).toMatch(/^0x00000000 {2}▁·+$/)
  expect(drawMap(layout, 80, plain, false)[1]).toMatch(/^0x00000000 {2}\+\.+$/)
})

test('a window of it has the window’s extents, cut at its edges, and lists them', () => {
  const window = within(layOut(example), 2.5 * MiB, MiB)
  expect(window.extents.map(({ offset, length, state }) => [offset / MiB, length / MiB, state])).toEqual([
    [2.5, 0.5, 'allocated'],
    [3, 0.5, 'scrubbing'],
  ])
  const lines = drawMap(window, 80, plain, true)
  expect(lines[0]).toBe('main  16 MiB, of which 0x280000+1 MiB')
  expect(lines.at(-1)!.split('\n')).toEqual([
    '  OFFSET   LENGTH  STATE      ALLOCATION',
    '0x280000  512 KiB  allocated  a',
    '0x300000  512 KiB  scrubbing  old',
  ])
})
