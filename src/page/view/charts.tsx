import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { latency, size } from '../format'
import { onThemeChange, readTheme } from '../map/theme'
import type { Sample } from '../state/statistics'
import { useApp, useSignals } from './hooks'
import { Swatch } from './legend'

interface ChartProps {
  title: string
  series: ReadonlyArray<{ title: string; value: (sample: Sample) => number | null }>
  show: (value: number) => string
  /** Steps of powers of two, for bytes. */
  bytes?: boolean
  logarithmic?: boolean
}

const height = 150
/** Between two times on the axis. */
const secondsBetween = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600]

const charts: readonly ChartProps[] = [
  {
    title: 'Memory',
    series: [
      { title: 'allocated', value: sample => sample.allocatedBytes },
      { title: 'free', value: sample => sample.freeBytes },
    ],
    show: size,
    bytes: true,
  },
  {
    title: 'Requests per second',
    series: [
      { title: 'requests', value: sample => sample.requestsPerSecond },
      { title: 'refused', value: sample => sample.errorsPerSecond },
    ],
    show: value => value.toFixed(value < 10 ? 1 : 0),
  },
  {
    title: 'Time in the broker, per request',
    series: [
      { title: 'half below', value: sample => sample.latencyP50 },
      { title: '99 % below', value: sample => sample.latencyP99 },
    ],
    show: latency,
    logarithmic: true,
  },
  {
    title: 'Scrubbed and digested per second',
    series: [
      { title: 'scrubbed', value: sample => sample.scrubbedPerSecond },
      { title: 'digested', value: sample => sample.digestedPerSecond },
    ],
    show: value => `${size(Math.round(value))}/s`,
    bytes: true,
  },
]

export function Charts() {
  const { model } = useApp()
  useSignals([model.samplesChanged])
  const last = model.samples.at(-1)
  return (
    <>
      <div class="tools">
        <span class="count">
          {last
            ? `broker: ${size(last.residentBytes)} resident, ${(last.cpuShare * 100).toFixed(1)} % of a processor, ${last.eventsPerSecond.toFixed(0)} events/s`
            : 'Reading…'}
        </span>
        <span class="count">This page itself asks three times a second.</span>
      </div>
      <div class="chart-grid">
        {charts.map(chart => (
          <Chart key={chart.title} {...chart} />
        ))}
      </div>
    </>
  )
}

function Chart(props: ChartProps) {
  const { model } = useApp()
  const { title, series, show } = props
  const holder = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  const { samples } = model
  useEffect(() => {
    const element = holder.current!
    const make = () => {
      plot.current?.destroy()
      plot.current = new uPlot(optionsOf(props, element.clientWidth), dataOf(props, model.samples), element)
    }
    make()
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const end = onThemeChange(make)
    return () => {
      end()
      resized.disconnect()
      plot.current?.destroy()
    }
  }, [])
  useEffect(() => plot.current?.setData(dataOf(props, samples)), [samples])
  const last = samples.at(-1)
  const now = series.map(({ title, value }) => {
    const current = last ? value(last) : null
    return { title, text: current === null ? '-' : show(current) }
  })
  return (
    <figure
      role="img"
      aria-label={`${title}: ${now.map(({ title, text }) => `${title} ${text}`).join(', ')}`}
    >
      <figcaption>
        <h3>{title}</h3>
        {now.map(({ title, text }, i) => (
          <span key={title}>
            <Swatch color={`series-${i + 1}`} /> {title} <b>{text}</b>
          </span>
        ))}
      </figcaption>
      <div ref={holder} class="plot" />
    </figure>
  )
}

function dataOf({ series }: ChartProps, samples: readonly Sample[]): uPlot.AlignedData {
  return [samples.map(({ time }) => time), ...series.map(({ value }) => samples.map(value))]
}

function optionsOf({ series, show, bytes, logarithmic }: ChartProps, width: number): uPlot.Options {
  const theme = readTheme()
  const axis = { stroke: theme.faint, grid: { stroke: `${theme.faint}33`, width: 1 }, ticks: { show: false } }
  return {
    width: Math.max(120, width),
    height,
    padding: [8, 28, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 5 } },
    scales: {
      x: { time: true },
      y: logarithmic ? { distr: 3 } : { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      { ...axis, size: 26, space: 72, incrs: secondsBetween, values: '{HH}:{mm}:{ss}' },
      {
        ...axis,
        size: 74,
        space: logarithmic ? 16 : 32,
        values: (_plot, values) => values.map(value => (value === null ? '' : show(value))),
        ...(bytes && { incrs: Array.from({ length: 50 }, (_, i) => 2 ** i) }),
      },
    ],
    series: [
      {},
      ...series.map((one, i) => ({
        label: one.title,
        stroke: theme.series[i] ?? theme.text,
        width: 1.5,
        points: { show: false },
        spanGaps: true,
      })),
    ],
  }
}
