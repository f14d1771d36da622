import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/**
 * The process that reads messages to the service manager, and has the descriptors of its store: the nearest ancestor of this
 * process with the socket open. Others may be between it and us, such as the shell of a wrapper. If the broker can't see which
 * one has the socket, it takes the parent.
 */
export function fdStoreProcess(notifySocket: string): number {
  const sockets = inodesOf(notifySocket)
  for (let pid = process.ppid; pid > 0; pid = parentOf(pid)) if (hasOpen(pid, sockets)) return pid
  return process.ppid
}

/** The kernel's names of these sockets among a process' descriptors. Of several with one address, clients reach only one. */
function inodesOf(address: string): ReadonlySet<string> {
  const lines = textOf('/proc/net/unix').split('\n')
  const found = lines.map(line => /^\S+ \S+ \S+ \S+ \S+ \S+ +(\d+) (.*)$/.exec(line))
  return new Set(found.flatMap(match => (match?.[2] === address ? [`socket:[${match[1]}]`] : [])))
}

function hasOpen(pid: number, sockets: ReadonlySet<string>): boolean {
  try {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).some(fd => sockets.has(readlinkSync(`${folder}/${fd}`)))
  } catch {
    return false
  }
}

/** 0: there is none. */
function parentOf(pid: number): number {
  return Number(/^\d+ \(.*\) \S (\d+)/s.exec(textOf(`/proc/${pid}/stat`))?.[1] ?? 0)
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
