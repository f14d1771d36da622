/** A uid as those outside of this user namespace see it, by /proc/self/uid_map: lines of first inside, first outside, count. */
export function outsideUid(map: string, uid: number): { uid: number; isMapped: boolean } {
  for (const line of map.trim().split('\n')) {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number) as [number, number, number]
    if (uid >= inside && uid < inside + count)
      return { uid: outside + uid - inside, isMapped: count !== 2 ** 32 - 1 || outside !== inside }
  }
  return { uid, isMapped: true }
}
