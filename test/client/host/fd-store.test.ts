/**
 * Proves that the doctor tells loss, the danger of loss and refusals of an fd store apart, and looks at the
 * broker's unit only.
 */
import { type FdStoreFigures, judgeFdStore, unitOf } from '../../../src/client/ctl/host/check/fd-store'

const well: FdStoreFigures = {
  unit: 'membroker.service',
  ranges: ['small', 'huge'],
  allocations: 100,
  places: 102,
  placesMax: 102,
  told: 8192,
  size: 8192,
  held: 102,
  names: { nameBytes: 1000, nameBytesMax: 100_000 },
}
const dropIn = (size: number) =>
  "mkdir -p /etc/systemd/system/membroker.service.d && printf '\\n[Service]\\n" +
  `FileDescriptorStoreMax=${size}\\nEnvironment=FDSTORE=${size}\\n' ` +
  '>>/etc/systemd/system/membroker.service.d/override.conf && systemctl daemon-reload'
const again = 'allocations made while it was full have to be made again before that restart'
const restart = 'systemctl restart membroker.service'

test.each<[string, Partial<FdStoreFigures>, string, RegExp, string | undefined]>([
  ['all in the store', {}, 'good', /has 102 of at most 8192 memfds$/, undefined],
  ['more than is needed', { held: 110 }, 'good', /has 110 of/, undefined],
  [
    'exactly the room the broker counts on',
    { told: 200, size: 200 },
    'good',
    /102 of at most 200/,
    undefined,
  ],
  ['a unit with more', { told: 200, size: 8192 }, 'good', /102 of at most 200/, undefined],
  ['a unit with less', { size: 8191 }, 'warning', /has room for 8191 .* counts on 8192/, dropIn(8192)],
  ['a unit with less than a large one', { told: 9000 }, 'warning', /8192 .* on 9000/, dropIn(9000)],
  [
    'nearly full',
    { told: 112, size: 112 },
    'warning',
    /102 of at most 112 memfds: allocations in small, huge are refused/,
    `${dropIn(8192)} && ${restart}`,
  ],
  [
    'nearly full, and large',
    { allocations: 9998, places: 10000, placesMax: 10000, held: 10000, told: 10000, size: 10000 },
    'warning',
    /refused/,
    `${dropIn(20000)} && ${restart}`,
  ],
  [
    'sessions that preserve the memfds dropped',
    { places: 204, placesMax: 204, size: 200, held: 200, told: 200 },
    'bad',
    /has 200 memfds .* 4 more end/,
    `${dropIn(8192)}; ${again}`,
  ],
  [
    'too small for the sessions of an update',
    { placesMax: 204, size: 220, told: 220 },
    'warning',
    /102 of at most 220 memfds, and 204 during an update: allocations/,
    `${dropIn(8192)} && ${restart}`,
  ],
  [
    'names that nearly fill the variable that passes them',
    { names: { nameBytes: 90_001, nameBytesMax: 100_000 } },
    'warning',
    /names of the 102 memfds .* take 90001 of at most 100000 bytes: allocations in small, huge are refused/,
    'fewer and larger allocations in small, huge, or a range with a shorter name: no size of the store changes this',
  ],
  ['a broker that does not tell of names', { names: undefined }, 'good', /102 of at most/, undefined],
  [
    'memfds dropped',
    { size: 16, held: 16 },
    'bad',
    /has 16 memfds of small, huge, and room for 16: 86 more end/,
    `${dropIn(8192)}; ${again}`,
  ],
  [
    'memfds dropped, in a store that is larger by now',
    { held: 101 },
    'bad',
    /101 memfds .* 1 more end/,
    again,
  ],
  [
    'memfds dropped, though the broker counts on no more than there is',
    { told: 16, size: 16, held: 16 },
    'bad',
    /room for 16: 86 more end/,
    `${dropIn(8192)}; ${again}`,
  ],
  [
    'a unit without one',
    { size: 0, held: 0 },
    'bad',
    /room for 0: 102 more end/,
    `${dropIn(8192)}; ${again}`,
  ],
  [
    'a broker that was told of none',
    { told: 0, held: 0 },
    'bad',
    /no fd store: 100 allocations in small, huge end/,
    `${dropIn(8192)}; when nobody needs them any more: ${restart}`,
  ],
  [
    'the same, and nothing to lose',
    { told: 0, held: 0, allocations: 0, places: 2, placesMax: 2 },
    'warning',
    /no fd store: memory of small, huge would end/,
    `${dropIn(8192)} && ${restart}`,
  ],
])('%s: the finding and its repair', (_what, change, result, finding, repair) => {
  // Proves that loss, the danger of it and refusals are told apart, and that no command to restart comes where it loses memory.
  const found = judgeFdStore({ ...well, ...change })
  expect(found).toEqual({
    result,
    finding: expect.stringMatching(finding),
    ...(repair !== undefined && { repair }),
  })
})

test.each([
  ['0::/system.slice/membroker.service', 'membroker.service'],
  ['0::/machine.slice/box.service/payload/system.slice/membroker@a.service/main', 'membroker@a.service'],
  ['12:cpu,cpuacct:/x.service\n1:name=systemd:/system.slice/membroker.service\n0::/', 'membroker.service'],
  ['0::/user.slice/user-0.slice/session-3.scope', undefined],
  ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/membroker.service', undefined],
  ['0::/', undefined],
  ['', undefined],
])('%j is of %s', (groups, unit) => {
  // Proves that no other unit is looked at, above all none of the same name that another manager has.
  expect(unitOf(groups)).toBe(unit)
})
