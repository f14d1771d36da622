import { isIP } from 'node:net'
import type { ConsoleConfig } from './schema'

/** The debug console: its address and its rights. */
export interface ConsoleSettings {
  /** A loopback address. */
  host: string
  /** 0: any that is free. */
  port: number
  /** Whether it may change anything. */
  write: boolean
  /** Whether ReadAllocation is answered, here and on the socket. */
  rawView: boolean
  /** Connections; a page has two. */
  viewersMax: number
}

const defaultListen = '127.0.0.1:9464'
const defaultViewersMax = 16

/** fail gets the key and its mistake. */
export function settleConsole(
  config: ConsoleConfig,
  fail: (key: string, reason: string) => never,
): ConsoleSettings {
  const listen = config.listen ?? defaultListen
  const [, ipv6, other, digits] = /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(listen) ?? []
  const host = ipv6 ?? other
  const port = Number(digits)
  if (host === undefined || port > 65535 || isIP(host) !== (ipv6 === undefined ? 4 : 6))
    fail('listen', `listen: '${listen}' is not an address and a port, such as "${defaultListen}"`)
  // Everything beyond this host would see the token, as nothing here is encrypted.
  if (!(ipv6 === undefined ? host.startsWith('127.') : host === '::1'))
    fail('listen', `listen: ${host} is not a loopback address; from another host, use a tunnel (ssh -L)`)
  return {
    host,
    port,
    write: config.write ?? false,
    rawView: config.raw_view ?? false,
    viewersMax: config.viewers_max ?? defaultViewersMax,
  }
}
