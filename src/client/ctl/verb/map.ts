import { type Command, InvalidArgumentError } from 'commander'
import { BrokerError, type Range } from '../../index'
import { partArgument, wholeArgument } from '../arguments'
import { UsageError } from '../exit'
import { drawMap } from '../map/draw'
import { type Layout, layOut, within } from '../map/layout'
import { unicodeWanted } from '../terminal/blocks'
import { colorsWanted } from '../terminal/color'
import { unless } from '../unless'
import { addVerb } from '../verb'
import { type VerbContext, withBroker } from '../verb-context'

interface Options {
  width?: number
  zoom?: { offset: number; length: number }
}

export function addMap(program: Command): void {
  addVerb(program, {
    usage: 'map [range]',
    summary: 'Draw the memory of a range: free, allocated, quarantined, bad',
    examples: ['map', 'map guests --width 100', 'map guests --zoom 0x40000000+1G', 'map --json'],
    notes: `The legend has the size of a cell. A cell with several kinds of memory shows the one that needs attention most; a
partly allocated cell shows how full it is. --zoom also lists the extents. --json prints all of them, with their states.
A user who is no administrator sees free memory and others' memory as unknown. map draws in ASCII if the locale is not
UTF-8.`,
  })
    .option('--width <cells>', "width of the drawing; default: the terminal's", wholeArgument)
    .option('--zoom <offset+length>', 'only this part of the range', zoomArgument)
    .action((name: string | undefined, options: Options, command: Command) => {
      if (options.zoom && name === undefined) throw new UsageError('--zoom is of one range: name it')
      return withBroker(command, async context => {
        const layouts = await survey(context, name)
        const shown = layouts.map(layout => (options.zoom ? zoomed(layout, options.zoom) : layout))
        const width = options.width ?? (process.stdout.columns || 80)
        const style = { unicode: unicodeWanted(), colors: colorsWanted() }
        context.print(shown, () =>
          shown
            .map(layout => drawMap(layout, width, style, options.zoom !== undefined).join('\n'))
            .join('\n\n'),
        )
      })
    })
}

/** The facts of a range, or of all. */
async function survey(
  { broker, signal, progress }: VerbContext,
  name: string | undefined,
): Promise<Layout[]> {
  progress.say('looking at all allocations')
  // A caller who may not see bad memory does not see everybody's allocations either.
  const poison = await unless('PermissionDenied', broker.poisoned({ signal }))
  const ranges = (await broker.ranges({ signal })).filter(range => name === undefined || range.name === name)
  if (ranges.length === 0 && name !== undefined)
    throw new BrokerError('NotFound', `there is no range ${JSON.stringify(name)}`, {
      parameters: { kind: 'range', name },
    })
  const { retired } = await broker.status({ signal })
  const allocations = new Map<string, Array<{ name: string; offset: number; length: number }>>(
    ranges.map(range => [range.name, []]),
  )
  for await (const { name, range, extents } of broker.list({ signal }))
    for (const { offset, length } of extents) allocations.get(range)?.push({ name, offset, length })
  progress.end()
  return ranges.map((range: Range) =>
    layOut({
      range,
      allocations: allocations.get(range.name)!,
      retired: retired.filter(entry => entry.range === range.name),
      poison: poison?.filter(entry => entry.range === range.name) ?? [],
      seesAll: poison !== undefined,
    }),
  )
}

function zoomed(layout: Layout, { offset, length }: { offset: number; length: number }): Layout {
  if (offset >= layout.bytes)
    throw new UsageError(`--zoom: ${layout.range} ends at 0x${layout.bytes.toString(16)}`)
  return within(layout, offset, Math.min(length, layout.bytes - offset))
}

function zoomArgument(text: string): { offset: number; length: number } {
  const part = partArgument(text)
  if (part.length === 0) throw new InvalidArgumentError('The length must not be 0')
  return part
}
