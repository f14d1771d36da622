import { once } from 'node:events'
import { createConnection } from 'node:net'

const items = 20_000

/** Sends commands to the memcached at a socket, and returns all replies up to the version's. */
async function ask(socket: string, commands: string): Promise<string> {
  const connection = createConnection(socket).setEncoding('latin1')
  let replies = ''
  connection.on('data', text => {
    replies += text
  })
  connection.write(`${commands}version\r\n`)
  const closed = once(connection, 'close').then(() => {
    throw new Error('memcached has closed the connection')
  })
  while (!replies.includes('VERSION ')) await Promise.race([once(connection, 'data'), closed])
  connection.destroy()
  return replies
}

/** Returns their number. */
export async function putItems(socket: string): Promise<number> {
  let commands = ''
  for (let i = 0; i < items; i++) commands += `set k${i} 0 0 6 noreply\r\n${String(i).padStart(6, '0')}\r\n`
  await ask(socket, commands)
  return items
}

/** How many of them are there with their values. */
export async function itemsFound(socket: string): Promise<number> {
  let commands = ''
  for (let i = 0; i < items; i++) commands += `get k${i}\r\n`
  const replies = await ask(socket, commands)
  const found = [...replies.matchAll(/VALUE k(\d+) 0 6\r\n(\d{6})/g)]
  return found.filter(([, key, value]) => Number(key) === Number(value)).length
}
