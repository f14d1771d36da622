/**
 * Proves how a guest starts, by the findings beside its memory. It continues only with exactly the memory of its save. Where a
 * repair would let it continue, broker-ctl throws nothing away.
 */
import { decide } from '../../src/client/ctl/vm/decision'
import type { GuestMemory } from '../../src/client/ctl/vm/guest-memory'
import type { Found } from '../../src/client/ctl/vm/saved-state'

const memory = (
  generation: string,
  bytes = 4096,
  verdict: GuestMemory['verdict'] = 'unverified',
): GuestMemory => ({
  allocation: `vm-1/${generation}`,
  id: 1,
  bytes,
  generation,
  verdict,
  range: 'main',
  mayBeOnDisk: false,
})
const state = {
  memory: [
    { generation: 'a', bytes: 4096 },
    { generation: 'b', bytes: 8192 },
  ],
  machine: 'pc-q35-7.2',
  qemu: '7.2.0',
  running: true,
  update: null,
  pausedAt: 0,
  savedAt: 0,
  payloadBytes: 7,
}
const saved: Found = { kind: 'saved', state }
const same = [memory('a'), memory('b', 8192)]

test.each<[string, Found, GuestMemory[], boolean, object]>([
  ['nothing was saved', { kind: 'absent' }, same, false, { kind: 'boot', reason: undefined }],
  [
    'nothing was saved, and it would be discarded',
    { kind: 'absent' },
    same,
    true,
    { kind: 'boot', reason: undefined },
  ],
  ['it was saved with this memory', saved, same, false, { kind: 'resume', state }],
  [
    'its memory is as it was at the freeze',
    saved,
    [memory('a', 4096, 'intact'), same[1]!],
    false,
    { kind: 'resume' },
  ],
  ['it is to be discarded', saved, same, true, { kind: 'boot', reason: expect.stringMatching(/discards/) }],
  [
    'it is damaged',
    { kind: 'damaged', reason: 'so it is' },
    same,
    false,
    { kind: 'boot', reason: "what was saved can't be used: so it is" },
  ],
  [
    'all its memory is gone, and there is other',
    saved,
    [memory('c'), memory('d', 8192)],
    false,
    { kind: 'boot', reason: expect.stringMatching(/memory that is gone/) },
  ],
])('when %s', (_, found, now, discard, expected) => {
  expect(decide(found, now, discard)).toMatchObject(expected)
})

test('when another version of the program saved it, nothing is thrown away', () => {
  const foreign: Found = { kind: 'foreign', reason: 'it is of version 2' }
  expect(() => decide(foreign, same, false)).toThrow(
    expect.objectContaining({ code: 'OtherVersion', exit: 1, message: expect.stringMatching(/version 2/) }),
  )
  expect(decide(foreign, same, true).kind).toBe('boot')
})

test.each<[string, GuestMemory[], string]>([
  ['one memory is another', [same[0]!, memory('c', 8192)], 'MemoryChanged'],
  ['one memory is missing', [same[0]!], 'MemoryChanged'],
  ['there is one more', [...same, memory('c')], 'MemoryChanged'],
  ['they are in another order', [same[1]!, same[0]!], 'MemoryChanged'],
  ['one has another size', [memory('a', 8192), same[1]!], 'MemoryChanged'],
  ['one has changed since', [memory('a', 4096, 'changed'), same[1]!], 'MemoryDamaged'],
  ['one has failed', [same[0]!, memory('b', 8192, 'poisoned')], 'MemoryDamaged'],
])('when %s, nothing is thrown away', (_, now, code) => {
  expect(() => decide(saved, now, false)).toThrow(expect.objectContaining({ code, exit: 1 }))
  expect(decide(saved, now, true).kind).toBe('boot')
})
