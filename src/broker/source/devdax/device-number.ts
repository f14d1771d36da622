/** As glibc's makedev; beyond 32 bits only for majors that no kernel gives out. */
export function makeDevice(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + Math.floor(minor / 0x100) * 0x100000
}
