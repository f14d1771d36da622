import { BrokerError } from '../../index'
import { type BlockStyle, unicodeWanted } from '../terminal/blocks'
import { colorsWanted } from '../terminal/color'
import type { Key } from '../terminal/keys'
import { Screen } from '../terminal/screen'
import { pause, type VerbContext } from '../verb-context'
import { Model, readBroker } from './model'
import { initialUi, pressed } from './ui'
import { draw, type Frame } from './view'

/** Events come by the thousand; a person reads a few frames a second. */
const eventFrameMs = 250
/** A whole state is a lot of work for the broker. So a viewer that misses events waits so long before it asks for a new one. */
const newStateMs = 10_000

/** The view that redraws itself, until a key ends it (it resolves) or a signal (it throws Aborted). */
export async function live(context: VerbContext, intervalMs: number): Promise<void> {
  await new Top(context, intervalMs).run()
}

class Top {
  private readonly context: VerbContext
  private readonly intervalMs: number
  private readonly style: BlockStyle = { unicode: unicodeWanted(), colors: colorsWanted() }
  private readonly model = new Model()
  private readonly quit = new AbortController()
  private readonly signal: AbortSignal
  private readonly screen: Screen
  private ui = initialUi
  private frame: Frame | undefined
  private timer: NodeJS.Timeout | undefined
  private stateAt = 0
  private round = new AbortController()

  constructor(context: VerbContext, intervalMs: number) {
    this.context = context
    this.intervalMs = intervalMs
    this.signal = AbortSignal.any([context.signal, this.quit.signal])
    this.screen = new Screen({ onKey: key => this.onKey(key), onResize: () => this.draw() })
  }

  async run(): Promise<void> {
    const { broker, signal } = this.context
    broker.on('disconnected', () => {
      this.model.away(Date.now())
      this.draw()
    })
    broker.on('reconnected', () => {
      this.model.back()
      this.drawSoon()
    })
    const onHangUp = () => this.quit.abort()
    process.on('SIGHUP', onHangUp)
    // This runs at once: the rest of the end may take long.
    this.signal.addEventListener('abort', () => this.screen.close(), { once: true })
    const ticking = setInterval(() => this.draw(), 1000)
    try {
      this.screen.open()
      await Promise.all([this.poll(), this.follow()])
    } catch (error) {
      if (!this.quit.signal.aborted || signal.aborted || !isAborted(error)) throw error
    } finally {
      this.quit.abort()
      clearInterval(ticking)
      clearTimeout(this.timer)
      this.screen.close()
      process.off('SIGHUP', onHangUp)
    }
  }

  private async poll(): Promise<void> {
    for (;;) {
      this.model.read(await readBroker(this.context.broker, this.signal))
      await this.refreshVisible()
      if (this.model.missed > 0 && performance.now() - this.stateAt > newStateMs) this.round.abort()
      this.draw()
      await pause(this.intervalMs, this.signal)
    }
  }

  private async follow(): Promise<void> {
    for (;;) {
      this.round = new AbortController()
      const signal = AbortSignal.any([this.signal, this.round.signal])
      try {
        for await (const item of this.context.broker.watch({ signal })) {
          this.model.apply(item)
          if (item.type === 'snapshot') this.stateAt = performance.now()
          this.drawSoon()
        }
      } catch (error) {
        if (this.signal.aborted || !isAborted(error)) throw error
      }
    }
  }

  /** Events say that an allocation changed. top asks for the details only of visible ones. */
  private async refreshVisible(): Promise<void> {
    const { allocations } = this.model
    const stale = (this.frame?.rows ?? []).filter(row => row.stale)
    await Promise.all(
      stale.map(async ({ name }) => {
        try {
          allocations.refresh((await this.context.broker.get(name, { signal: this.signal })).allocation)
        } catch (error) {
          if (!(error instanceof BrokerError && error.code === 'NotFound')) throw error
          allocations.remove(name)
        }
      }),
    )
  }

  private onKey(key: Key): void {
    if (key === 'ctrl-c' || key === 'ctrl-d' || (key === 'q' && !this.ui.typing)) {
      this.quit.abort()
      return
    }
    this.ui = pressed(this.ui, key, this.frame?.page ?? 1, this.frame?.count ?? 0)
    this.draw()
  }

  private drawSoon(): void {
    this.timer ??= setTimeout(() => this.draw(), eventFrameMs)
  }

  private draw(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.signal.aborted) return
    this.frame = draw(this.model, this.ui, this.screen.size, this.style, Date.now())
    this.screen.draw(this.frame.lines)
  }
}

function isAborted(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'Aborted'
}
