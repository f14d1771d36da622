const MiB = 2 ** 20

/** Bytes for the table of a range of that many bytes: a thousandth of it, from 4 to 64 MiB; 64 MiB describe 100,000 allocations. */
export function tableBytesFor(rangeBytes: number): number {
  const wanted = Math.ceil(rangeBytes / 1024 / MiB) * MiB
  return Math.min(64 * MiB, Math.max(4 * MiB, wanted))
}
