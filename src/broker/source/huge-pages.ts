import { readFileSync } from 'node:fs'

/** Pages of the kernel's pool that nobody has or has been promised, and those that it may still add (overcommit). */
export function freeHugePages(pageBytes: number): number | undefined {
  const count = (name: string) =>
    Number(readFileSync(`/sys/kernel/mm/hugepages/hugepages-${pageBytes / 1024}kB/${name}`, 'latin1'))
  try {
    const surplus = Math.max(0, count('nr_overcommit_hugepages') - count('surplus_hugepages'))
    return count('free_hugepages') - count('resv_hugepages') + surplus
  } catch {
    return undefined
  }
}
