import { once } from 'node:events'
import type { Command } from 'commander'
import { MiB } from '../../../../protocol/units'
import { readAllocationBytesMax } from '../../../../protocol/wire/limits'
import { type Broker, BrokerError } from '../../index'
import { offsetArgument } from '../arguments'
import { UsageError } from '../exit'
import { printable, size } from '../table'
import { portion } from '../terminal/progress'
import { addVerb } from '../verb'
import { type CommonOptions, withBroker } from '../verb-context'

interface Options {
  offset: number
  length?: number
  raw?: boolean
}

export function addRead(program: Command): void {
  addVerb(program, {
    usage: 'read <name>',
    summary: "Dump an allocation's bytes",
    examples: [
      'read vm-42/ram --length 64',
      'read vm-42/ram --offset 0x100000 --length 4K',
      'read db/cache --offset 1G --length 16M --raw > piece',
    ],
    notes: `For administrators, if the broker's configuration has raw_view = true; the broker logs each use. --json prints the
bytes as base64.`,
  })
    .option('--offset <offset>', 'first byte: a size, or 0x and hexadecimal digits', offsetArgument, 0)
    .option('--length <size>', 'number of bytes; default: 256, with --raw all the rest', offsetArgument)
    .option('--raw', 'the bytes themselves, to standard output')
    .action((name: string, { offset, length, raw }: Options, command: Command) => {
      if (raw && command.optsWithGlobals<CommonOptions>().json)
        throw new UsageError('give either --raw or --json')
      if (raw && process.stdout.isTTY)
        throw new UsageError('--raw does not write to a terminal: send the bytes to a file or a program')
      if (!raw && length !== undefined && length > 16 * MiB)
        throw new UsageError('more than 16 MiB is for --raw')
      return withBroker(command, async ({ broker, signal, print, progress }) => {
        const { bytes } = (await broker.get(name, { signal })).allocation
        const left = Math.max(0, bytes - offset)
        const wanted = length ?? (raw ? left : Math.min(left, 256))
        if (wanted > left)
          throw new BrokerError(
            'InvalidArgument',
            `${name} has ${bytes} bytes (${size(bytes)}): it ends before ${offset + wanted}`,
          )
        const pieces: Buffer[] = []
        let done = 0
        for await (const piece of read(broker, name, offset, wanted, signal)) {
          if (!raw) pieces.push(piece)
          else if (!process.stdout.write(piece)) await once(process.stdout, 'drain', { signal })
          done += piece.length
          progress.say(`reading ${printable(name)}: ${portion(done, wanted, size)}`)
        }
        progress.end()
        if (raw) return
        const data = Buffer.concat(pieces)
        print({ name, offset, length: data.length, data: data.toString('base64') }, () =>
          hexDump(data, offset),
        )
      })
    })
}

async function* read(
  broker: Broker,
  name: string,
  offset: number,
  length: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  for (let done = 0; done < length; done += readAllocationBytesMax) {
    const piece = { offset: offset + done, length: Math.min(readAllocationBytesMax, length - done), signal }
    yield await broker.readAllocation(name, piece)
  }
}

const perLine = 16

/** Offset, bytes and characters, as hexdump -C has them; a * stands for lines like the one before it. */
export function hexDump(bytes: Buffer, offset: number): string {
  const lines: string[] = []
  const digits = Math.max(8, (offset + bytes.length).toString(16).length)
  const place = (at: number) => (offset + at).toString(16).padStart(digits, '0')
  let previous: Buffer | undefined
  for (let at = 0; at < bytes.length; at += perLine) {
    const line = bytes.subarray(at, at + perLine)
    if (previous?.equals(line) && at + perLine < bytes.length) {
      if (lines.at(-1) !== '*') lines.push('*')
      continue
    }
    previous = line
    lines.push(`${place(at)}  ${hexadecimal(line)}  |${characters(line)}|`)
  }
  return [...lines, place(bytes.length)].join('\n')
}

function hexadecimal(line: Buffer): string {
  const half = (from: number) =>
    [...line.subarray(from, from + 8)].map(byte => byte.toString(16).padStart(2, '0')).join(' ')
  return `${half(0).padEnd(23)}  ${half(8).padEnd(23)}`
}

function characters(line: Buffer): string {
  return line.toString('latin1').replace(/[^\x20-\x7e]/g, '.')
}
