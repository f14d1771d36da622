import { readFileSync } from 'node:fs'

/**
 * Whether a process listens at a Unix socket's path. The file appears at bind(2), before listen(2), and a connection in between
 * is refused.
 */
export function isListening(socket: string): boolean {
  const acceptsConnections = '00010000'
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some(line => line.endsWith(` ${socket}`) && line.split(/\s+/)[3] === acceptsConnections)
}
