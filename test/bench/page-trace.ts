import { percentile } from './percentile'

/** An event of Chromium's trace; times in microseconds. */
interface TraceEvent {
  name: string
  ph: string
  ts: number
  dur?: number
  /** Of the thread's own processor time. */
  tdur?: number
  pid: number
  tid: number
  args?: { name?: string }
  id2?: { local?: string }
  id?: string
}

export const traceCategories = [
  'toplevel',
  'devtools.timeline',
  'disabled-by-default-devtools.timeline',
  'blink.user_timing',
  'loading',
  '__metadata',
]

export interface Distribution {
  p50: number
  p95: number
  p99: number
  max: number
  /** Part of the frames that stay below a sixtieth of a second. */
  inTime: number
}

export interface FrameFigures {
  seconds: number
  frames: number
  /** Milliseconds that the page's main thread worked from one frame to the next: of its processor time. */
  cost: Distribution
  /** The same by the clock, in which other programs have their turns. */
  elapsed: Distribution
  /** Milliseconds of drawing the map, of which there is at most one in a frame. */
  mapP50: number
  mapP99: number
  /** Milliseconds of processor time in a second of the trace, by what it was spent on; raster is other threads'. */
  parts: Record<Part | 'raster', number>
  /** The longest single piece of work, and what it was. */
  longest: string
}

type Part = 'script' | 'style' | 'layout' | 'paint' | 'other'

/** What frames cost, as Chromium itself recorded it. */
export function frameFigures(trace: Buffer): FrameFigures {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] }
  const main = mainThread(traceEvents)
  const own = traceEvents.filter(({ pid, tid }) => pid === main.pid && tid === main.tid)
  const tasks = own
    .filter(({ name, ph, dur }) => name === 'RunTask' && ph === 'X' && dur !== undefined)
    .sort((a, b) => a.ts - b.ts)
  // A frame is drawn inside a task; what is counted to it is that task and all since the one of the frame before.
  const starts = own
    .filter(({ name }) => name === 'FireAnimationFrame')
    .map(({ ts }) => tasks.findLast(task => task.ts <= ts && ts <= task.ts + task.dur!))
    .filter(task => task !== undefined)
  const frameTasks = [...new Set(starts)]
  const cost: number[] = []
  const elapsed: number[] = []
  let next = 0
  for (const frame of frameTasks) {
    let [processor, clock] = [0, 0]
    for (; next < tasks.length && tasks[next]!.ts <= frame.ts; next++) {
      processor += (tasks[next]!.tdur ?? tasks[next]!.dur!) / 1000
      clock += tasks[next]!.dur! / 1000
    }
    cost.push(processor)
    elapsed.push(clock)
  }
  const maps = measures(traceEvents, 'map')
  const longest = tasks.reduce((most, task) => ((task.tdur ?? 0) > (most.tdur ?? 0) ? task : most))
  const inside = own
    .filter(
      ({ ts, dur, name }) =>
        dur && name !== 'RunTask' && ts >= longest.ts && ts + dur <= longest.ts + longest.dur!,
    )
    .sort((a, b) => (b.tdur ?? 0) - (a.tdur ?? 0))
    .slice(0, 4)
    .map(({ name, tdur }) => `${name} ${((tdur ?? 0) / 1000).toFixed(1)}`)
  return {
    seconds: (tasks.at(-1)!.ts - tasks[0]!.ts) / 1e6,
    frames: cost.length,
    cost: distribution(cost),
    elapsed: distribution(elapsed),
    mapP50: percentile(maps, 50),
    mapP99: percentile(maps, 99),
    parts: partsOf(traceEvents, own, (tasks.at(-1)!.ts - tasks[0]!.ts) / 1e6),
    longest: `${((longest.tdur ?? longest.dur!) / 1000).toFixed(1)} ms (${inside.join(', ')})`,
  }
}

const partOf: Readonly<Record<string, Part>> = {
  RunTask: 'other',
  FunctionCall: 'script',
  EvaluateScript: 'script',
  'v8.compile': 'script',
  FireAnimationFrame: 'script',
  TimerFire: 'script',
  RunMicrotasks: 'script',
  MinorGC: 'script',
  MajorGC: 'script',
  UpdateLayoutTree: 'style',
  Layout: 'layout',
  PrePaint: 'paint',
  Paint: 'paint',
  Layerize: 'paint',
  Commit: 'paint',
}

/** What each thing itself took, without what was done within it. */
function partsOf(all: readonly TraceEvent[], own: readonly TraceEvent[], seconds: number) {
  const parts = { script: 0, style: 0, layout: 0, paint: 0, other: 0, raster: 0 }
  const known = own.filter(({ name, ph, dur }) => partOf[name] && ph === 'X' && dur !== undefined)
  known.sort((a, b) => a.ts - b.ts || b.dur! - a.dur!)
  const open: TraceEvent[] = []
  for (const event of known) {
    while (open.length > 0 && open.at(-1)!.ts + open.at(-1)!.dur! <= event.ts) open.pop()
    const took = event.tdur ?? event.dur!
    parts[partOf[event.name]!] += took
    const around = open.at(-1)
    if (around) parts[partOf[around.name]!] -= took
    open.push(event)
  }
  const { pid } = own[0]!
  for (const { name, tdur, pid: of } of all)
    if (name === 'RasterTask' && of === pid) parts.raster += tdur ?? 0
  return Object.fromEntries(
    Object.entries(parts).map(([part, microseconds]) => [part, microseconds / 1000 / seconds]),
  ) as FrameFigures['parts']
}

function distribution(times: readonly number[]): Distribution {
  return {
    p50: percentile(times, 50),
    p95: percentile(times, 95),
    p99: percentile(times, 99),
    max: Math.max(...times),
    inTime: times.filter(ms => ms <= 1000 / 60).length / times.length,
  }
}

/** The renderer thread that has the page: of several the one that did most. */
function mainThread(events: readonly TraceEvent[]): TraceEvent {
  const threads = events.filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
  const counts = threads.map(thread => ({
    thread,
    count: events.filter(
      ({ pid, tid, name }) => pid === thread.pid && tid === thread.tid && name === 'FireAnimationFrame',
    ).length,
  }))
  return counts.sort((a, b) => b.count - a.count)[0]!.thread
}

/** Milliseconds of each performance.measure() of that name. */
function measures(events: readonly TraceEvent[], name: string): number[] {
  const begun = new Map<string, number>()
  const times: number[] = []
  for (const event of events) {
    if (event.name !== name) continue
    const key = event.id2?.local ?? event.id ?? ''
    if (event.ph === 'b') begun.set(key, event.ts)
    else if (event.ph === 'e' && begun.has(key)) times.push((event.ts - begun.get(key)!) / 1000)
  }
  return times
}
