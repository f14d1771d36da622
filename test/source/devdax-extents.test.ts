/** Proves that extents are told to the kernel, and compared with what it says, without losing or reordering a byte. */
import fc from 'fast-check'
import { spanBytes } from '../../protocol/kernel/address-span'
import { makeDevice } from '../../src/broker/source/devdax/device-node'
import {
  describeExtents,
  mappingText,
  physicalExtents,
  sameExtents,
} from '../../src/broker/source/devdax/extents'

const unit = 2 ** 21
const extents = fc.array(
  fc.record({
    offset: fc.nat(1000).map(n => n * unit),
    length: fc.integer({ min: 1, max: 50 }).map(n => n * unit),
  }),
  { minLength: 1, maxLength: 20 },
)

/** The address of each unit, in order: what a mapping of the device would see. */
const unitsOf = (list: readonly { start: number; end: number }[]) =>
  list.flatMap(({ start, end }) => {
    const units = []
    for (let address = start; address < end; address += unit) units.push(address)
    return units
  })

test('joining neighbours changes no place of a byte', () => {
  fc.assert(
    fc.property(extents, fc.nat(2 ** 20), (list, base) => {
      const physical = physicalExtents(base * unit, list)
      const plain = list.map(({ offset, length }) => ({
        start: base * unit + offset,
        end: base * unit + offset + length,
      }))
      expect(unitsOf(physical)).toEqual(unitsOf(plain))
      expect(spanBytes(physical)).toBe(list.reduce((sum, { length }) => sum + length, 0))
      for (let i = 1; i < physical.length; i++) expect(physical[i]!.start).not.toBe(physical[i - 1]!.end)
      expect(sameExtents(physical, plain)).toBe(true)
    }),
  )
})

test('another order, a missing unit and a moved one are not the same', () => {
  fc.assert(
    fc.property(extents, extents, (left, right) => {
      const [a, b] = [physicalExtents(0, left), physicalExtents(0, right)]
      expect(sameExtents(a, b)).toBe(JSON.stringify(unitsOf(a)) === JSON.stringify(unitsOf(b)))
    }),
  )
})

test('the end is inclusive, and the form hexadecimal', () => {
  expect(mappingText({ start: 0x48000000, end: 0x4c000000 })).toBe('48000000-4bffffff')
  expect(describeExtents([{ start: 0x40000000, end: 0x40200000 }])).toBe('0x40000000-0x401fffff')
  expect(describeExtents([])).toBe('nothing')
})

test('device numbers are as stat gives them', () => {
  expect(makeDevice(252, 3)).toBe(252 * 256 + 3)
  expect(makeDevice(252, 0x12345)).toBe(0x12300000 + 252 * 256 + 0x45)
})
