import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { buildProgram } from '../guest/build'
import { run } from '../support/child'
import { isListening } from '../support/is-listening'
import { TestBroker, until } from '../support/test-broker'
import { inTurns, type Report, rowOf } from './rounds'

type Figures = Record<string, number>

/** A server that pair-client can measure. */
interface Server {
  socket: string
  close(): Promise<void>
}

export interface PairOptions {
  rounds: number
  grants: number
  processes: number
}

const config = (directory: string) => `
[broker]
clients_max = 4096
clients_per_uid_max = 4096
[[range]]
name = "main"
source = "directory"
path = "${directory}"
bytes = "16GiB"
`

export function clientProgram(): string {
  const program = buildProgram('test/bench/pair-client.c')
  if (!program) throw new Error('the pairs need a C compiler')
  return program
}

/** One measurement by the C client, as another uid if asked for. */
export async function ask(socket: string, what: string, count: number, uid?: number): Promise<Figures> {
  const options = uid === undefined ? {} : { uid }
  return JSON.parse(await run(clientProgram(), [socket, what, String(count)], options))
}

async function startServer(withTable: boolean): Promise<Server> {
  const sqlite = existsSync('/usr/include/sqlite3.h')
  if (withTable && !sqlite) throw new Error('the C server with a table needs libsqlite3-dev')
  const program = buildProgram(
    'test/bench/pair-server.c',
    sqlite ? ['-DWITH_SQLITE', '-Wl,--no-as-needed', '-lsqlite3'] : [],
  )!
  const directory = mkdtempSync('/dev/shm/membroker-bench-')
  const socket = path.join(directory, 'socket')
  const args = [socket, directory, ...(withTable ? [path.join(directory, 'table')] : [])]
  const child = spawn(program, args, { stdio: ['pipe', 'inherit', 'inherit'] })
  const ended = new Promise(resolve => child.once('exit', resolve))
  await until(() => isListening(socket), 'the C server')
  return {
    socket,
    async close() {
      child.stdin.end()
      await ended
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function startBroker(): Promise<Server> {
  const directory = mkdtempSync('/dev/shm/membroker-bench-')
  const broker = await TestBroker.start({ config: config(directory), directory, logLevel: 'info' })
  return {
    socket: broker.socket,
    async close() {
      await broker.dispose()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/**
 * The broker beside a C server with the same system calls, and one that keeps an SQLite table too, asked by the same C client.
 * Of the C server, its synchronous rate is the baseline of pipelined grants and of a crowd.
 */
export async function measurePairs(options: PairOptions, report: Report, progress: (text: string) => void) {
  const { rounds, grants, processes } = options
  const [broker, plain, withTable] = await Promise.all([startBroker(), startServer(false), startServer(true)])
  const pick = (results: Figures[], key: string) => results.map(figures => figures[key]!)
  try {
    progress('grants beside a C server, by the same C client')
    await ask(broker.socket, 'grant', grants)
    const grant = await inTurns(rounds, {
      broker: () => ask(broker.socket, 'grant', grants),
      plain: () => ask(plain.socket, 'grant', grants),
    })
    for (const key of ['mappedP50', 'mappedP99'])
      report(
        rowOf(`grant to mapped memory, C client, ${key.slice(-3).toLowerCase()}`, pick(grant.broker, key), {
          'the C server': pick(grant.plain, key),
        }),
      )
    progress('pipelined grants, and 64 clients at once')
    const many = await inTurns(rounds, {
      pipelined: () => ask(broker.socket, 'pipelined', Math.ceil(grants / 32)),
      plain: () => ask(plain.socket, 'grant', grants),
      crowd: () => ask(broker.socket, 'crowd', Math.ceil(grants / 2048)),
    })
    const synchronous = { "the C pair's synchronous rate": pick(many.plain, 'mappedMean') }
    report(rowOf('pipelined grant', pick(many.pipelined, 'each'), synchronous))
    report(rowOf('grant of 64 clients at once', pick(many.crowd, 'each'), synchronous))
    report(
      rowOf('longest wait of one of 64 clients', pick(many.crowd, 'longest'), {
        'the median wait': pick(many.crowd, 'waitP50'),
      }),
    )
    progress('allocate, map, revoke, release beside C with SQLite')
    await ask(broker.socket, 'operations', grants)
    const cycle = await inTurns(rounds, {
      broker: () => ask(broker.socket, 'operations', grants),
      withTable: () => ask(withTable.socket, 'operations', grants),
      plain: () => ask(plain.socket, 'operations', grants),
    })
    for (const [key, what] of Object.entries({
      allocate: 'allocate',
      map: 'map',
      revoke: 'revoke',
      release: 'release',
      whole: 'allocate, map, revoke and release',
    }))
      report(
        rowOf(what, pick(cycle.broker, `${key}P50`), {
          'C with SQLite, synchronous=FULL': pick(cycle.withTable, `${key}P50`),
          'C without a table': pick(cycle.plain, `${key}P50`),
        }),
      )
    progress(`${processes} processes claim at once`)
    const claims = await inTurns(rounds, {
      broker: () => ask(broker.socket, 'processes', processes),
      plain: () => ask(plain.socket, 'processes', processes),
    })
    report(
      rowOf(`${processes} VMs claimed by as many processes`, pick(claims.broker, 'whole'), {
        'the C server': pick(claims.plain, 'whole'),
      }),
    )
  } finally {
    await Promise.all([broker.close(), plain.close(), withTable.close()])
  }
}
