import { WebSocket } from 'ws'

/**
 * What the page's state needs of a browser, in Node; origin is the console's. Its connections are listed as they are made;
 * after close() there are none, and what the page asks for is never answered.
 */
export function givePageGlobals(origin: string) {
  const sockets: WebSocket[] = []
  class PageWebSocket extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols, { origin })
      sockets.push(this)
      // The page hears of it by the close that follows.
      this.on('error', () => {})
    }
  }
  const kept = new Map<string, string>()
  const { fetch } = globalThis
  let closed = false
  Object.assign(globalThis, {
    WebSocket: PageWebSocket,
    location: new URL(origin),
    sessionStorage: {
      setItem: (key: string, value: string) => kept.set(key, value),
      removeItem: (key: string) => kept.delete(key),
    },
    addEventListener: () => {},
    requestAnimationFrame: setImmediate,
    fetch: (path: string, options: RequestInit) =>
      closed ? new Promise(() => {}) : fetch(new URL(path, origin), options),
  })
  const close = () => {
    closed = true
    for (const socket of sockets) socket.terminate()
  }
  return { sockets, close }
}
