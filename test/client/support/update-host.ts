import type { ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Broker, connect } from '../../../src/client'
import { TestBroker, until } from '../../support/test-broker'
import { type Outcome, startCtl } from './ctl'
import { Holder } from './holder'
import { kernelFile } from './kernel-file'

/** Steps of a program that stands for one of the host's. */
type Behaviour = 'succeed' | 'fail' | 'hang'

/** A host to update: a real broker, real participants, and programs that stand for kexec and sync, and record their calls. */
export class UpdateHost {
  private readonly holders: Holder[] = []
  private readonly bin: string
  private readonly record: string
  private readonly pids: string

  private constructor(
    readonly server: TestBroker,
    readonly broker: Broker,
  ) {
    this.bin = path.join(server.folder, 'bin')
    this.record = path.join(server.folder, 'record')
    this.pids = path.join(server.folder, 'pids')
    mkdirSync(this.bin)
    chmodSync(server.folder, 0o755)
    const ways =
      'hang) echo $$ >> $PIDS; exec sleep 600 ;; fail) echo "it is not possible" >&2; exit 1 ;; esac; exit 0'
    this.program(
      'kexec',
      `case "$2" in -l) way=$LOAD ;; -u) way= ;; *) way=$GO ;; esac; case "$way" in ${ways}`,
    )
    this.program('sync', `case "$SYNC" in ${ways}`)
    // STATE: what it answers, first to last; 'killed' is no answer.
    const asked = path.join(server.folder, 'asked')
    const answer = `echo >> ${asked}; set -- $STATE; shift $(($(wc -l < ${asked}) - 1)); [ "$1" = killed ] && kill -9 $$`
    this.program(
      'systemctl',
      `case "$1" in kexec) case "$GO" in ${ways} ;; esac; ${answer}; echo "\${1:-running}"; exit 1`,
    )
  }

  static async start(more = ''): Promise<UpdateHost> {
    const server = await TestBroker.start({ main: { more } })
    return new UpdateHost(server, await connect({ socket: server.socket, reconnect: { maxDelayMs: 20 } }))
  }

  private readonly commands: ChildProcess[] = []

  /** script: what it does once its call is recorded. */
  program(name: string, script: string): void {
    const file = path.join(this.bin, name)
    const kills = `[ "$KILLS" = $(wc -l < ${this.record}) ] && kill -9 $PPID`
    writeFileSync(file, `#!/bin/sh\necho "${name} $*" >> ${this.record}\n${kills}\n${script}\n`, {
      mode: 0o755,
    })
  }

  /** All calls of the host's programs so far. */
  get calls(): string[] {
    return existsSync(this.record) ? readFileSync(this.record, 'utf8').trim().split(/ *\n/) : []
  }

  /** The call that loads the next kernel. */
  get load(): string {
    return `kexec -s -l ${this.image} --command-line=quiet`
  }

  /** Of the update that is under way. */
  async state(): Promise<string | undefined> {
    return (await this.broker.update()).update?.state
  }

  /** Nothing is left of an update: no freeze, no kernel, and whoever was asked goes on. */
  async everybodyRuns(calls: readonly string[], ...asked: ReadonlyArray<{ next(): Promise<unknown> }>) {
    for (const one of asked) expect(await one.next()).toMatchObject({ goesOn: expect.any(String) })
    expect(await this.state()).toBeUndefined()
    expect((await this.broker.status()).frozen).toBeNull()
    expect(this.calls).toEqual(calls)
  }

  /** It has no initrd. */
  get image(): string {
    return kernelFile(this.server.folder, 'vmlinuz')
  }

  /** A participant that tells the reason of each update that is called off; prepare: its work. */
  async participant(name: string, prepare = ''): Promise<Holder> {
    const holder = new Holder(
      this.server.socket,
      `const { joined } = broker.participate({
        name: '${name}',
        async prepare({ signal }) { ${prepare} },
        cancelled({ reason }) { tell({ goesOn: reason }) },
      })
      await joined
      tell('joined')`,
    )
    this.holders.push(holder)
    if ((await holder.next()) !== 'joined') throw new Error('the participant did not join')
    return holder
  }

  /**
   * broker-ctl update on this host; launcher: a command that runs it. KILLS: so many calls of the host's programs were made when
   * the last one kills the command.
   */
  update(
    args: readonly string[] = [],
    way: { LOAD?: Behaviour; GO?: Behaviour; SYNC?: Behaviour; STATE?: string; KILLS?: string } = {},
    launcher: readonly string[] = [],
    socket = this.server.socket,
  ): { child: ChildProcess; outcome: Promise<Outcome>; said: (words: string) => Promise<void> } {
    const own = [
      '--config',
      this.server.configFile,
      '--kernel',
      this.image,
      '--initrd',
      'none',
      '--append',
      'quiet',
      '--reason',
      'kernel 7',
    ]
    const go = args.includes('--go') ? [] : ['--go', 'kexec -e']
    const env = { PIDS: this.pids, ...way, PATH: `${this.bin}:${process.env.PATH}` }
    const { child, outcome } = startCtl(socket, ['update', ...own, ...go, ...args], env, launcher)
    this.commands.push(child)
    let stdout = ''
    child.stdout!.on('data', text => {
      stdout += text
    })
    return { child, outcome, said: words => until(() => stdout.includes(words), words) }
  }

  /** One of the host's programs hangs. */
  get hangs(): boolean {
    return existsSync(this.pids)
  }

  /** Their pids. */
  get hung(): number[] {
    return this.hangs ? readFileSync(this.pids, 'utf8').trim().split('\n').map(Number) : []
  }

  /** Ends what hangs, from outside. */
  killHung(): void {
    for (const pid of this.hung) kill(pid)
    rmSync(this.pids, { force: true })
  }

  async dispose(): Promise<void> {
    for (const child of this.commands) child.kill('SIGKILL')
    this.killHung()
    await this.broker.close()
    await Promise.all(this.holders.map(holder => holder.end()))
    await this.server.dispose()
  }
}

/** It may have ended. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
