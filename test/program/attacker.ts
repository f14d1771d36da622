import { buildProgram } from '../guest/build'
import type { OtherProcess } from '../support/other-process'

/** The compiled attacker.c, whose head tells what it can do. Throws where the machine has no C compiler. */
export const attackerProgram: string = (() => {
  const binary = buildProgram('test/program/attacker.c')
  if (binary === undefined) throw new Error('the attacks are written in C: install gcc')
  return binary
})()

/** A process of attacker.c, started by a client that hands it descriptors it was granted. It ends with that client. */
export class Attacker {
  private constructor(
    private readonly parent: OtherProcess,
    private readonly index: number,
    readonly pid: number,
    /** Its first line: 'ready', or 'refused ERRNO'. */
    readonly answer: string,
  ) {}

  /** fds are numbers in the client's process, and closed there once passed on. program: default attacker.c. */
  static async start(
    parent: OtherProcess,
    words: readonly string[],
    fds: readonly number[] = [],
    program = attackerProgram,
  ): Promise<Attacker> {
    const { index, pid, answer } = await parent.run(
      async ({ fs, state }, { program, words, fds }) => {
        const { spawn } = process.getBuiltinModule('node:child_process')
        const { createInterface } = process.getBuiltinModule('node:readline')
        const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit', ...fds] })
        for (const fd of fds) fs.closeSync(fd)
        child.stdin!.on('error', () => {})
        const lines = createInterface({ input: child.stdout! as never })[Symbol.asyncIterator]()
        state.attackers ??= []
        const index = state.attackers.push({ child, lines }) - 1
        return { index, pid: child.pid!, answer: String((await lines.next()).value) }
      },
      { program, words, fds },
    )
    return new Attacker(parent, index, pid, answer)
  }

  /** Its next line, without asking for one; 'undefined' when it has ended. */
  next(): Promise<string> {
    return this.parent.run(
      async ({ state }, index) => String((await state.attackers[index].lines.next()).value),
      this.index,
    )
  }

  /** Lets it try once: 'done', or 'refused ERRNO'. */
  async again(): Promise<string> {
    await this.parent.run(
      ({ state }, index) => void state.attackers[index].child.stdin.write('\n'),
      this.index,
    )
    return this.next()
  }

  /** Whether it is gone, however. */
  exited(): Promise<boolean> {
    return this.parent.run(({ state }, index) => {
      const { exitCode, signalCode } = state.attackers[index].child
      return exitCode !== null || signalCode !== null
    }, this.index)
  }

  /** Ends its standard input, and so itself. */
  async end(): Promise<void> {
    await this.parent.run(async ({ state }, index) => {
      const { child } = state.attackers[index]
      child.stdin.end()
      if (child.exitCode === null && child.signalCode === null)
        await new Promise<void>(resolve => child.once('exit', () => resolve()))
    }, this.index)
  }
}

/** What a client was granted, by its numbers in that client's process. The client keeps no descriptor of its own. */
export interface Granted {
  mapping: number
  fd: number
}

/** Maps an allocation, and leaves the descriptor to whoever it is passed to. */
export function mapFor(
  client: OtherProcess,
  name: string,
  access: 'read' | 'readWrite' = 'readWrite',
): Promise<Granted> {
  return client.run(
    async ({ client, native }, input) => {
      const { grant, fds } = await client.call('CreateMapping', input)
      const fd = native.dupFd(fds[0]!)
      client.closeFd(fds[0]!)
      return { mapping: grant.mapping.id, fd }
    },
    { name, access },
  )
}

/** Allocates as that client, and maps it for writing. */
export async function memoryOf(
  client: OtherProcess,
  name: string,
  bytes: number,
  range?: string,
): Promise<Granted> {
  await client.run(({ client }, input) => client.call('Allocate', input).then(() => undefined), {
    name,
    bytes,
    ...(range !== undefined && { range }),
  })
  return mapFor(client, name)
}
