import type {
  Allocation,
  Client,
  GetStatisticsOut,
  GetStatusOut,
  Mapping,
  Poison,
  Range,
  Recovery,
  WatchOut,
} from '../../../protocol/generated/broker'
import { CallFailed } from '../link/connection'
import { Link } from '../link/link'
import { Signal } from '../signal'
import { applyEvent, type Wanted } from './apply-event'
import { EventLog } from './event-log'
import { type ColourBy, Inventory, type InventoryListener } from './inventory'
import { Refresher, Throttle } from './refresher'
import { type Sample, sampleBetween, samplesKept } from './statistics'

const pollMs = 1000

/** Between two snapshots that a viewer needs because it was too slow. */
const snapshotPauseMs = 5000

/** Warnings that the viewer needs to judge the page. */
interface Notice {
  time: number
  text: string
}

/** The page's knowledge, and its sources. Views listen to the signals of the parts that they show. */
export class Model {
  readonly link: Link
  readonly log = new EventLog()
  readonly inventoryChanged = new Signal()
  readonly statusChanged = new Signal()
  readonly clientsChanged = new Signal()
  readonly samplesChanged = new Signal()
  readonly recoveryChanged = new Signal()
  inventory: Inventory
  /** The first snapshot, or one after a restart, is still coming in. */
  loading = true
  status: GetStatusOut | undefined
  ranges: Range[] = []
  clients: Client[] = []
  recoveries: Recovery[] = []
  poisoned: Poison[] = []
  samples: Sample[] = []
  notice: Notice | undefined
  colourBy: ColourBy = 'state'
  /** Tables handle each change of the inventory here. */
  readonly rows = new Set<InventoryListener & { reset(): void }>()
  private coming: Inventory | undefined
  private refresher: Refresher
  private statistics: GetStatisticsOut | undefined
  private poll: ReturnType<typeof setTimeout> | undefined
  private snapshotAt = 0
  private snapshotTimer: ReturnType<typeof setTimeout> | undefined
  private readonly throttle = new Throttle()

  constructor(token: string | undefined) {
    this.inventory = this.newInventory()
    this.refresher = this.newRefresher()
    this.link = new Link(token, {
      onLive: () => void this.connected(),
      onWatch: reply => this.watched(reply),
    })
  }

  setColourBy(colourBy: ColourBy): void {
    this.colourBy = colourBy
    this.inventory.setColourBy(colourBy)
    this.inventoryChanged.changed()
  }

  dismiss(): void {
    this.notice = undefined
    this.statusChanged.changed()
  }

  /** Ask for an allocation's present state. */
  refresh(name: string): void {
    this.refresher.want(name)
  }

  private get wanted(): Wanted {
    return {
      allocation: name => this.refresher.want(name),
      status: () => this.throttle.soon('status', () => this.readStatus()),
      ranges: () => this.throttle.soon('ranges', () => this.readRanges()),
      clients: () => this.throttle.soon('clients', () => this.readClients()),
      poison: () => this.throttle.soon('poison', () => this.readPoison()),
    }
  }

  private newInventory(): Inventory {
    const inventory: Inventory = new Inventory(
      {
        allocation: (old, next) => {
          if (this.inventory === inventory) for (const rows of this.rows) rows.allocation(old, next)
        },
        mapping: (old, next) => {
          if (this.inventory === inventory) for (const rows of this.rows) rows.mapping(old, next)
        },
      },
      this.colourBy,
    )
    return inventory
  }

  private newRefresher(): Refresher {
    return new Refresher(
      async name => {
        try {
          return await this.link.call('GetAllocation', { name })
        } catch (error) {
          if (error instanceof CallFailed && error.code === 'NotFound') return undefined
          throw error
        }
      },
      (name, found) => {
        if (found) this.inventory.put(found.allocation, found.mappings)
        else this.inventory.remove(name)
        this.inventoryChanged.changed()
      },
    )
  }

  private async connected(): Promise<void> {
    clearTimeout(this.poll)
    this.throttle.clear()
    this.statistics = undefined
    try {
      // Ranges first: allocations have their places in them.
      await this.readRanges()
      this.coming = undefined
      this.link.watchAnew()
      await Promise.all([this.readStatus(), this.readRecovery(), this.readClients()])
    } catch (error) {
      // Away again: the link tries anew. A refusal may not be the last word.
      if (!isAway(error)) this.poll = setTimeout(() => void this.connected(), pollMs)
      return
    }
    void this.pollOnce()
  }

  private tellRestart(before: GetStatusOut, now: GetStatusOut): void {
    const epochs = this.ranges.map(({ name, table }) => `${name} epoch ${table.epoch}`).join(', ')
    const what =
      before.bootId === now.bootId ? 'The broker was started anew' : 'The kernel and the broker were replaced'
    const text = `${what} (process ${before.pid} → ${now.pid}; ${epochs}). All that is shown was read again.`
    this.notice = { time: Date.now(), text }
    this.samples = []
    this.samplesChanged.changed()
    this.statusChanged.changed()
  }

  private watched(reply: WatchOut): void {
    if (reply.missed) this.missed(reply.missed)
    if (reply.allocations)
      this.takeSnapshot(reply.allocations, reply.mappings ?? [], reply.snapshotEnd === true)
    if (!reply.event) return
    const { event } = reply
    this.log.add(event)
    if (event.allocation && event.kind === 'released') this.refresher.forget(event.allocation)
    else if (event.allocation) this.refresher.changed(event.allocation)
    applyEvent(event, this.inventory, this.wanted)
    this.inventoryChanged.changed()
  }

  private takeSnapshot(allocations: Allocation[], mappings: Mapping[], isLast: boolean): void {
    if (!this.coming) {
      this.coming = this.newInventory()
      this.coming.setRanges(this.ranges)
      // Nothing better to show meanwhile.
      if (this.inventory.allocations.size === 0) this.show(this.coming)
    }
    const { coming } = this
    const byName = new Map<string, Mapping[]>()
    for (const mapping of mappings) {
      const siblings = byName.get(mapping.allocation)
      if (siblings) siblings.push(mapping)
      else byName.set(mapping.allocation, [mapping])
    }
    for (const allocation of allocations) coming.put(allocation, byName.get(allocation.name) ?? [])
    if (isLast) {
      this.coming = undefined
      this.loading = false
      this.refresher.close()
      this.refresher = this.newRefresher()
      this.show(coming)
      this.placeRetired()
      this.wanted.poison()
    }
    this.inventoryChanged.changed()
  }

  private show(inventory: Inventory): void {
    if (this.inventory === inventory) return
    this.inventory = inventory
    for (const rows of this.rows) rows.reset()
  }

  private missed(count: number): void {
    this.log.miss(count)
    clearTimeout(this.snapshotTimer)
    const pause = Math.max(0, this.snapshotAt + snapshotPauseMs - Date.now())
    this.snapshotTimer = setTimeout(() => {
      this.snapshotAt = Date.now()
      this.coming = undefined
      this.link.watchAnew()
    }, pause)
  }

  private async pollOnce(): Promise<void> {
    try {
      const [statistics] = await Promise.all([
        this.link.call('GetStatistics', {}),
        this.readRanges(),
        this.readStatus(),
      ])
      const sample = this.statistics && sampleBetween(this.statistics, statistics, this.ranges)
      this.statistics = statistics
      if (sample) {
        this.samples = [...this.samples.slice(1 - samplesKept), sample]
        this.samplesChanged.changed()
      }
    } catch (error) {
      if (isAway(error)) return
    }
    clearTimeout(this.poll)
    this.poll = setTimeout(() => void this.pollOnce(), pollMs)
  }

  async readStatus(): Promise<void> {
    const { inventory } = this
    const { retiredVersion } = inventory
    const { status: before } = this
    const now = await this.link.call('GetStatus', {})
    this.status = now
    if (before && (before.startedAt !== now.startedAt || before.pid !== now.pid))
      this.tellRestart(before, now)
    // Events since the question know better than its answer.
    if (inventory === this.inventory && retiredVersion === inventory.retiredVersion) this.placeRetired()
    this.statusChanged.changed()
  }

  private placeRetired(): void {
    const retired = this.status?.retired ?? []
    if (retired.length === 0 && this.inventory.retired.size === 0) return
    this.inventory.setRetired(retired)
    this.inventoryChanged.changed()
  }

  async readRanges(): Promise<void> {
    this.ranges = (await this.link.call('ListRanges', {})).ranges
    this.inventory.setRanges(this.ranges)
    this.coming?.setRanges(this.ranges)
    this.statusChanged.changed()
  }

  async readClients(): Promise<void> {
    this.clients = (await this.link.call('ListClients', {})).clients
    this.clientsChanged.changed()
  }

  async readRecovery(): Promise<void> {
    this.recoveries = (await this.link.call('GetRecovery', {})).recoveries
    this.recoveryChanged.changed()
  }

  private async readPoison(): Promise<void> {
    this.poisoned = (await this.link.call('ListPoisoned', {})).poisoned
    this.inventory.setPoison(this.poisoned)
    this.inventoryChanged.changed()
  }
}

function isAway(error: unknown): boolean {
  return error instanceof CallFailed && error.code === 'Away'
}
