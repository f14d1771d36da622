/**
 * Proves that `reserve` proposes only free memory on one node that the next kernel will leave alone, and that a
 * refusal names what is possible.
 */
import fc from 'fast-check'
import { type AddressSpan, contains, overlap } from '../../../protocol/kernel/address-span'
import { parseCommandLine } from '../../../protocol/kernel/command-line'
import { memoryType } from '../../../protocol/kernel/memmap'
import { type MapEntry, systemRam } from '../../../protocol/kernel/memory-map'
import { parseKernelSize } from '../../../protocol/units'
import { bootMap } from '../../../src/client/ctl/host/boot-map'
import { joined } from '../../../src/client/ctl/host/numa-nodes'
import { type Machine, plan, type Stretch, type Wish } from '../../../src/client/ctl/host/plan'
import { preflight } from '../../../src/client/ctl/host/preflight'
import { propose } from '../../../src/client/ctl/host/proposal'
import { machines } from './machines'

const MiB = 2 ** 20
const GiB = 2 ** 30

const wish = (size: number, rest: Partial<Wish> = {}): Wish => ({
  size,
  align: undefined,
  node: undefined,
  kind: 'devdax',
  leave: undefined,
  ...rest,
})

function stretchOf(machine: Machine, asked: Wish): Stretch {
  const found = plan(asked, machine)
  if ('refused' in found) throw new Error(found.refused)
  return found
}

function refusal(machine: Machine, asked: Wish): string {
  const found = plan(asked, machine)
  return 'refused' in found ? found.refused : `not refused: ${JSON.stringify(found)}`
}

test.each<[string, keyof typeof machines, Wish, number, number | undefined]>([
  ['a VM with 4 GiB: above what boot loaders use', 'vm', wish(GiB), GiB, undefined],
  [
    'a VM, more than what is left above 1 GiB',
    'vm',
    wish(2304 * MiB, { leave: 256 * MiB }),
    256 * MiB,
    undefined,
  ],
  ['two sockets: above 4 GiB', 'twoSocket', wish(64 * GiB), 4 * GiB, 0],
  ['two sockets, the second node', 'twoSocket', wish(64 * GiB, { node: 1 }), 258 * GiB, 1],
  [
    'two sockets, whole GiB where only 2 MiB are possible',
    'twoSocket',
    wish(255 * GiB, { node: 1, leave: GiB }),
    258 * GiB,
    1,
  ],
  ['an EFI host with holes: the one piece that is large enough', 'efi', wish(8 * GiB), 4 * GiB, undefined],
])('%s', (_what, machine, asked, start, node) => {
  // Proves the choice on maps of real machines, with the reasons that stand beside the code.
  const found = stretchOf(machines[machine], asked)
  expect([found.start, found.end, found.node]).toEqual([start, start + asked.size, node])
})

test('a running crash kernel is gone round', () => {
  // Proves that what was set aside for a crash dump is not taken, below 4 GiB and above.
  const crash = machines.twoSocket.map.flatMap(({ inside }) =>
    inside.filter(({ name }) => name === 'Crash kernel'),
  )
  expect(crash).toHaveLength(2)
  const found = stretchOf(machines.twoSocket, wish(251 * GiB, { node: 0, leave: 0 }))
  for (const entry of crash) expect(overlap(found, entry)).toBe(false)
})

test.each<[string, keyof typeof machines, Wish, RegExp]>([
  [
    'more than any piece',
    'efi',
    wish(15 * GiB, { leave: 0 }),
    /of 15 GiB is in one piece; the largest has 13984M/,
  ],
  [
    'more than a node',
    'twoSocket',
    wish(300 * GiB, { node: 1 }),
    /on node 1 of 300 GiB is in one piece; the largest has 256G/,
  ],
  [
    'a node that is not there',
    'twoSocket',
    wish(GiB, { node: 3 }),
    /no node 3 with memory; there are: 0, 1$/,
  ],
  ['a node where none is known', 'vm', wish(GiB, { node: 0 }), /no node 0 with memory; no node is known/],
  ['a size that is no multiple', 'vm', wish(3 * MiB), /3M is no multiple of 2 MiB; ask for 4M/],
  ['nothing', 'vm', wish(0), /ask for 2M/],
  ['an alignment that is none', 'vm', wish(GiB, { align: 3 * MiB }), /power of two/],
  [
    'what the host needs itself',
    'vm',
    wish(2816 * MiB, { leave: 2 * GiB }),
    /keep 1\.2 GiB after 44 MiB for managing the range, less than/,
  ],
  [
    'what was asked to be left',
    'vm',
    wish(GiB, { leave: 3.5 * GiB }),
    /less than the 3\.5 GiB that --leave asks for; at most \d+M can be reserved/,
  ],
])('%s is refused with what would be possible', (_what, machine, asked, reason) => {
  // Proves that a refusal says what to ask for instead.
  expect(refusal(machines[machine], asked)).toMatch(reason)
})

test('what a refusal names as possible is possible', () => {
  // Proves that the figures in refusals are not off by the memory that manages the range.
  const text = refusal(machines.twoSocket, wish(250 * GiB, { node: 1, leave: 300 * GiB }))
  const most = parseKernelSize(/at most (\d+[MG]) can be reserved/.exec(text)![1]!)!
  expect(stretchOf(machines.twoSocket, wish(most, { node: 1, leave: 300 * GiB })).node).toBe(1)
  const next = wish(most + 2 * MiB, { node: 1, leave: 300 * GiB })
  expect(refusal(machines.twoSocket, next)).toMatch(/--leave/)
})

/** Machines with holes, kernels, firmware and nodes anywhere. */
const anyMachine = fc
  .record({
    pieces: fc.array(
      fc.record({ gap: fc.nat(3000), pages: fc.integer({ min: 1, max: 6000 }), used: fc.nat(100) }),
      {
        minLength: 1,
        maxLength: 8,
      },
    ),
    unit: fc.constantFrom(4096, 64 * 1024, MiB, 16 * MiB),
    cuts: fc.array(fc.nat(30_000), { maxLength: 3 }),
    initrd: fc.nat(30_000),
  })
  .map(({ pieces, unit, cuts, initrd }): Machine => {
    const map: MapEntry[] = []
    let at = 0
    for (const { gap, pages, used } of pieces) {
      const start = at + gap * unit
      at = start + pages * unit
      const inner = start + Math.floor((pages * used) / 100) * unit
      const inside =
        used % 3 === 0
          ? []
          : [{ start: inner, end: Math.min(inner + 40 * unit, at), name: 'Kernel code', inside: [] }]
      map.push({ start, end: at, name: used % 7 === 6 ? 'Reserved' : 'System RAM', inside })
    }
    const edges = [0, ...cuts.map(cut => cut * unit).sort((a, b) => a - b), at]
    const nodes = edges.slice(1).map((end, index) => ({ node: index, start: edges[index]!, end }))
    return {
      map,
      nodes: cuts.length === 0 ? [] : nodes.filter(({ start, end }) => start < end),
      taken: [{ start: initrd * unit, end: (initrd + 20) * unit }],
    }
  })

const anyWish = fc.record({
  size: fc.integer({ min: 1, max: 4096 }).map(units => units * 2 * MiB),
  align: fc.option(fc.constantFrom(2 * MiB, 16 * MiB, GiB), { nil: undefined }),
  node: fc.option(fc.nat(2), { nil: undefined }),
  kind: fc.constantFrom('devdax' as const, 'devmem' as const),
  leave: fc.constantFrom(undefined, 0, 64 * MiB),
})

test('whatever the machine: a stretch is in one piece of free memory, aligned, and on one node', () => {
  // Proves the promise of `reserve`: nothing that is in use or reserved is ever proposed, and enough is left.
  let proposed = 0
  fc.assert(
    fc.property(anyMachine, anyWish, (machine, asked) => {
      const found = plan(asked, machine)
      if ('refused' in found) return
      proposed++
      expect(found.end - found.start).toBe(asked.size)
      expect(found.start % (asked.align ?? 2 * MiB)).toBe(0)
      expect(found.start).toBeGreaterThanOrEqual(MiB)
      const around = systemRam(machine.map).filter(entry => contains(entry, found))
      expect(around).toHaveLength(1)
      const reserved: AddressSpan[] = [...around[0]!.inside, ...machine.taken]
      expect(reserved.filter(extent => overlap(extent, found))).toEqual([])
      expect(
        machine.map.filter(({ name }) => name !== 'System RAM').filter(entry => overlap(entry, found)),
      ).toEqual([])
      if (machine.nodes.length > 0) {
        const homes = joined(machine.nodes).filter(span => overlap(span, found))
        expect(homes.map(({ node }) => node)).toEqual([found.node])
        if (asked.node !== undefined) expect(found.node).toBe(asked.node)
      }
      const total = systemRam(machine.map).reduce((sum, { start, end }) => sum + end - start, 0)
      expect(found.left).toBe(total - asked.size)
      expect(found.left - found.overhead).toBeGreaterThanOrEqual(asked.leave ?? GiB)
    }),
    { numRuns: 2000 },
  )
  expect(proposed).toBeGreaterThan(100)
})

test('whatever is proposed: the kernel makes of its parameters just that range, and preflight agrees', () => {
  // Proves that planning, parameters and preflight speak of the same bytes, behind reservations that are there already.
  const earlier = fc.constantFrom(
    '',
    'quiet',
    'memmap=1M$2M memmap=1M$4M',
    [1, 2, 3, 4].map(at => `memmap=64K$${at}M`).join(' '),
  )
  fc.assert(
    fc.property(anyMachine, anyWish, earlier, (machine, asked, before) => {
      const found = plan(asked, machine)
      if ('refused' in found) return
      const { parameters, toml } = propose(found, asked.kind, 'guests', before)
      const commandLine = `${before} ${parameters.join(' ')}`
      const firmware = machine.map.map(({ start, end, name }) => ({
        start,
        end,
        type: name === 'System RAM' ? memoryType.ram : memoryType.reserved,
      }))
      const type = asked.kind === 'devdax' ? memoryType.softReserved : memoryType.reserved
      const made = bootMap(firmware, parseCommandLine(commandLine)).filter(entry => overlap(entry, found))
      expect(made.map(entry => [entry.type, contains(entry, found)])).toEqual([[type, true]])
      const range = {
        name: 'guests',
        source: asked.kind,
        bytes: asked.size,
        path: '',
        base: found.start,
        tableBytes: 4096,
      }
      const next = {
        commandLine,
        firmware,
        build: { options: undefined, modules: undefined },
        idleByModprobe: false,
      }
      expect(preflight([range], next)).toEqual([])
      expect(toml).toContain(`base = "0x${found.start.toString(16)}"`)
    }),
    { numRuns: 1000 },
  )
})
