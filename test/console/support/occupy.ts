import { createServer } from 'node:net'

/** Holds a port of this host until free(): one that the kernel gives to nobody by itself, so that it can be had again. */
export async function occupy(): Promise<{ port: number; free: () => Promise<void> }> {
  for (;;) {
    const server = createServer()
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const isFree = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (isFree) return { port, free: () => new Promise(resolve => server.close(() => resolve())) }
  }
}
