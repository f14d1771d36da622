import path from 'node:path'
import type { OtherProcess } from '../other-process'
import { packageRoot } from '../package-root'
import type { rounds } from './rounds'
import type { Report } from './timed'

const folder = path.join(packageRoot, 'dist/test/support/load')

/** Makes a process the control; it serves nothing else. */
export async function becomeControl(control: OtherProcess, socket: string): Promise<void> {
  await control.run(
    async ({ client, state }, { folder, socket }) => {
      const { createRequire } = process.getBuiltinModule('node:module')
      client.close()
      state.server = await createRequire(`${folder}/`)('./pings.js').serveControl(socket)
    },
    { folder, socket },
  )
}

type Rounds = typeof rounds

interface LoadOptions<Name extends keyof Rounds> {
  /** The control's socket. */
  control: string
  /** What it does: see rounds.ts. */
  round: Name
  input: Parameters<Rounds[Name]>
  /** Refusals that are part of the attack, by their short names. */
  expected?: readonly string[]
}

/** A client in a process of its own that goes on calling. */
export class LoadClient {
  private constructor(private readonly client: OtherProcess) {}

  static async start<Name extends keyof Rounds>(
    client: OtherProcess,
    options: LoadOptions<Name>,
  ): Promise<LoadClient> {
    await client.run(
      ({ client, connect, state }, { folder, control, round, input, expected }) => {
        const { createRequire } = process.getBuiltinModule('node:module')
        const load = createRequire(`${folder}/`)
        client.close()
        state.loop = new (load('./loop.js').Loop)(
          connect,
          control,
          load('./rounds.js').rounds[round](...input),
          expected,
        )
      },
      { folder, ...options },
    )
    return new LoadClient(client)
  }

  stop(): Promise<Report> {
    return this.client.run(({ state }) => state.loop.stop())
  }
}
