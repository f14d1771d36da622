import { allocationColumns, clientColumns, recoveryFields, sharesText } from '../../../protocol/columns'
import type { Allocation, SetLogLevelIn } from '../../../protocol/generated/broker'
import { parseSize } from '../../../protocol/units'
import { dateAndClock, size } from '../format'
import type { Link } from '../link/link'
import { showAllocation, showPoisoned, showRanges, showStatus, textFields, textTable } from './show'
import { type Arguments, type OptionSpec, parseArguments, splitWords, UsageError } from './words'

/** The tools of a command: the broker, and the place for its steps. */
interface CommandContext {
  link: Pick<Link, 'call' | 'stream'>
  say: (line: string) => void
}

interface Verb {
  /** As broker-ctl writes it: <needed>, [may be left out], ... for one or more. */
  usage: string
  summary: string
  options?: OptionSpec
  run: (args: Arguments, context: CommandContext) => Promise<string>
}

const listPage = 256

/** The prompt's commands: verbs, names and arguments are those of broker-ctl. Help, completion and running read this. */
export const verbs: Readonly<Record<string, Verb>> = {
  status: {
    usage: '',
    summary: 'The broker at a glance',
    run: async (_args, { link }) => showStatus(await link.call('GetStatus', {})),
  },
  ranges: {
    usage: '',
    summary: 'Reserved ranges: how full they are',
    run: async (_args, { link }) => showRanges((await link.call('ListRanges', {})).ranges),
  },
  list: {
    usage: '[prefix]',
    summary: 'Allocations, of that prefix',
    run: async ({ positional: [prefix] }, { link }) => {
      const { allocations, next } = await link.call('ListAllocations', {
        ...(prefix && { prefix }),
        limit: listPage,
      })
      const text = textTable(allocations, allocationColumns)
      return next ? `${text}\n… and more: give a prefix, or use the table of allocations` : text
    },
  },
  show: {
    usage: '<name>',
    summary: 'One allocation with its extents, shares and mappings',
    run: async ({ positional: [name] }, { link }) =>
      showAllocation(await link.call('GetAllocation', { name: name! })),
  },
  allocate: {
    usage: '<name> <size>',
    summary: 'Reserve memory under a name, for an owner',
    options: {
      '--owner': '<uid>',
      '--align': '<size>',
      '--range': '<range>',
      '--node': '<node>',
      '--contiguous': '',
      '--metadata': '<json>',
    },
    run: async ({ positional: [name, text], options }, { link }) => {
      const { allocation } = await link.call('Allocate', {
        name: name!,
        bytes: bytes(text!),
        ...given(options, '--owner', value => ({ uid: whole(value) })),
        ...given(options, '--align', value => ({ alignBytes: bytes(value) })),
        ...given(options, '--range', range => ({ range })),
        ...given(options, '--node', value => ({ node: whole(value) })),
        ...given(options, '--contiguous', () => ({ contiguous: true })),
        ...given(options, '--metadata', value => ({ metadata: jsonObject(value) })),
      })
      return textTable([allocation], allocationColumns)
    },
  },
  grow: {
    usage: '<name> <size>',
    summary: 'Make an allocation larger; size is the new size of the whole',
    run: async ({ positional: [name, text] }, { link }) =>
      textTable(
        [(await link.call('Grow', { name: name!, bytes: bytes(text!) })).allocation],
        allocationColumns,
      ),
  },
  shrink: {
    usage: '<name> <size>',
    summary: 'Make an allocation smaller; size is the new size of the whole',
    run: async ({ positional: [name, text] }, { link }) =>
      textTable(
        [(await link.call('Shrink', { name: name!, bytes: bytes(text!) })).allocation],
        allocationColumns,
      ),
  },
  share: {
    usage: '<name> <uid>',
    summary: 'Let another uid map an allocation',
    options: { '--write': '' },
    run: async ({ positional: [name, uid], options }, { link }) => {
      const access = options.has('--write') ? 'readWrite' : 'read'
      return sharesOf((await link.call('Share', { name: name!, uid: whole(uid!), access })).allocation)
    },
  },
  unshare: {
    usage: '<name> <uid>',
    summary: "End another uid's right to map an allocation",
    run: async ({ positional: [name, uid] }, { link }) =>
      sharesOf((await link.call('Share', { name: name!, uid: whole(uid!), access: null })).allocation),
  },
  give: {
    usage: '[name...]',
    summary: 'Give allocations that nobody has open to another uid',
    options: { '--to': '<uid>', '--from': '<uid>' },
    run: ({ positional, options }, { link }) => {
      const to = options.get('--to')
      if (positional.length === 0 || to === undefined) throw new UsageError('give names, and --to')
      const uids = { uid: whole(to), ...given(options, '--from', value => ({ from: whole(value) })) }
      return oneByOne(positional, async name => {
        await link.call('Give', { name, ...uids })
        return `${name}: given to uid ${uids.uid}`
      })
    },
  },
  'set-metadata': {
    usage: '<name> [json]',
    summary: "Replace the owner's metadata",
    options: { '--remove': '' },
    run: async ({ positional: [name, json], options }, { link }) => {
      if ((json === undefined) !== options.has('--remove'))
        throw new UsageError('give either a JSON object or --remove')
      const metadata = json === undefined ? null : jsonObject(json)
      return textTable(
        [(await link.call('SetMetadata', { name: name!, metadata })).allocation],
        allocationColumns,
      )
    },
  },
  revoke: {
    usage: '<mapping...>',
    summary: 'Take mappings back from their holders, by number',
    options: { '--grace-ms': '<ms>' },
    run: ({ positional, options }, { link, say }) =>
      oneByOne(positional, async text => {
        const outcome = lastOutcome(`mapping ${text}`, say)
        await link.stream('RevokeMapping', { mapping: whole(text), ...grace(options) }, outcome.take)
        return outcome.words()
      }),
  },
  release: {
    usage: '<name...>',
    summary: 'End allocations: revoke their mappings, scrub and free their memory',
    options: { '--grace-ms': '<ms>' },
    run: ({ positional, options }, { link, say }) =>
      oneByOne(positional, async name => {
        const outcome = lastOutcome(name, say)
        await link.stream('Release', { name, ...grace(options) }, outcome.take)
        return outcome.words()
      }),
  },
  freeze: {
    usage: '[reason]',
    summary: 'Refuse every change until thaw, during a live update',
    options: { '--digests': '' },
    run: async ({ positional: [reason], options }, { link, say }) => {
      const digests = options.has('--digests')
      await link.stream('Freeze', { ...(reason && { reason }), ...(digests && { digests }) }, reply => {
        if (reply.outcome === 'pending') say(progress('digested', reply.digestedBytes, reply.totalBytes))
      })
      return 'frozen'
    },
  },
  thaw: {
    usage: '',
    summary: 'End a freeze',
    run: async (_args, { link }) => {
      await link.call('Thaw', {})
      return 'thawed'
    },
  },
  clients: {
    usage: '',
    summary: 'Connected processes and their memory',
    run: async (_args, { link }) =>
      textTable((await link.call('ListClients', {})).clients, clientColumns(dateAndClock)),
  },
  recovery: {
    usage: '',
    summary: 'What the broker found in each range when it started',
    run: async (_args, { link }) =>
      (await link.call('GetRecovery', {})).recoveries
        .map(found => textFields(recoveryFields(found, dateAndClock)))
        .join('\n\n'),
  },
  verify: {
    usage: '',
    summary: "Compare allocations' contents with the digests of the last freeze",
    options: { '--prefix': '<prefix>' },
    run: async ({ options }, { link, say }) => {
      const verdicts: Array<{ name: string; verdict: string; detail: string }> = []
      const prefix = given(options, '--prefix', value => ({ prefix: value })) ?? {}
      await link.stream('Verify', prefix, reply => {
        if (reply.outcome === 'pending') say(progress('verified', reply.verifiedBytes, reply.totalBytes))
        if (reply.outcome !== 'verified') return
        verdicts.push({ name: reply.name ?? '', verdict: reply.verdict ?? '', detail: reply.detail ?? '' })
      })
      if (verdicts.length === 0) return 'nothing to verify'
      return textTable(verdicts, [
        { title: 'NAME', cell: row => row.name },
        { title: 'VERDICT', cell: row => row.verdict },
        { title: 'DETAIL', cell: row => row.detail },
      ])
    },
  },
  'poison list': {
    usage: '',
    summary: 'List bad memory',
    run: async (_args, { link }) => showPoisoned((await link.call('ListPoisoned', {})).poisoned),
  },
  'poison mark': {
    usage: '[name]',
    summary: 'Report bad memory: of an allocation, or with --range of a range',
    options: { '--range': '<range>', '--offset': '<offset>', '--length': '<size>' },
    run: async ({ positional: [name], options }, { link }) => {
      const range = options.get('--range')
      const [offset, length] = [options.get('--offset'), options.get('--length')]
      if ((name === undefined) === (range === undefined))
        throw new UsageError('give either the name of an allocation or --range')
      if (offset === undefined || length === undefined)
        throw new UsageError('--offset and --length are needed')
      const place = { offset: placeOf(offset), length: placeOf(length) }
      const { poisoned } = await link.call('MarkPoisoned', {
        ...(range === undefined ? { name } : { range }),
        ...place,
      })
      return poisoned.length === 0
        ? 'its verdict is poisoned; the kernel itself keeps bad pages of this range from everybody'
        : showPoisoned(poisoned)
    },
  },
  reload: {
    usage: '',
    summary: 'Make the broker read its configuration again',
    run: async (_args, { link }) => {
      const { changed, needsRestart } = await link.call('Reload', {})
      if (changed.length + needsRestart.length === 0) return 'nothing has changed'
      return `in effect now: ${changed.join(', ') || 'nothing'}\nafter a restart: ${needsRestart.join(', ') || 'nothing'}`
    },
  },
  'log-level': {
    usage: '<level>',
    summary: 'Set how much the broker logs: trace, debug, info, warn, error or silent',
    run: async ({ positional: [level] }, { link }) => {
      await link.call('SetLogLevel', { level: level as SetLogLevelIn['level'] })
      return `log level ${level}`
    },
  },
  help: {
    usage: '[verb...]',
    summary: 'The commands of this line',
    run: async ({ positional }) => help(positional.join(' ')),
  },
}

/**
 * Runs a line.
 * @throws UsageError if it is no command, CallFailed if the broker refuses
 */
export async function runCommand(line: string, context: CommandContext): Promise<string> {
  const [first, ...rest] = splitWords(line)
  if (first === undefined) return ''
  const isNoun = isVerb(`${first} ${rest[0]}`)
  const name = isNoun ? `${first} ${rest[0]}` : first
  const words = isNoun ? rest.slice(1) : rest
  if (!isVerb(name)) throw new UsageError(`there is no verb ${name}; help lists those there are`)
  const verb = verbs[name]!
  const args = parseArguments(words, verb.options ?? {})
  const { least, most } = arity(verb.usage)
  if (args.positional.length < least || args.positional.length > most)
    throw new UsageError(`usage: ${usageOf(name)}`)
  return verb.run(args, context)
}

export function isVerb(name: string): boolean {
  return Object.hasOwn(verbs, name)
}

export function usageOf(name: string): string {
  const { usage, options } = verbs[name]!
  const optional = Object.entries(options ?? {}).map(([option, value]) => `[${`${option} ${value}`.trim()}]`)
  return [name, usage, ...optional].filter(part => part !== '').join(' ')
}

/** How many arguments a usage allows. */
export function arity(usage: string): { least: number; most: number } {
  const words = usage.split(' ').filter(word => word !== '')
  return {
    least: words.filter(word => word.startsWith('<')).length,
    most: words.some(word => word.includes('...')) ? Number.POSITIVE_INFINITY : words.length,
  }
}

function help(name: string): string {
  if (name !== '' && !isVerb(name)) throw new UsageError(`there is no verb ${name}`)
  if (name !== '') return `${usageOf(name)}\n${verbs[name]!.summary}`
  return textTable(Object.keys(verbs), [
    { title: 'COMMAND', cell: verb => `${verb} ${verbs[verb]!.usage}`.trim() },
    { title: 'WHAT IT DOES', cell: verb => verbs[verb]!.summary },
    { title: 'OPTIONS', cell: verb => Object.keys(verbs[verb]!.options ?? {}).join(' ') },
  ])
}

function given<T>(options: Map<string, string>, name: string, make: (value: string) => T): T | undefined {
  const value = options.get(name)
  return value === undefined ? undefined : make(value)
}

function grace(options: Map<string, string>): { graceMs?: number } {
  return given(options, '--grace-ms', value => ({ graceMs: whole(value) })) ?? {}
}

async function oneByOne(items: readonly string[], run: (item: string) => Promise<string>): Promise<string> {
  const results: string[] = []
  for (const item of items) results.push(await run(item))
  return results.join('\n')
}

/** Says the steps of what ends, and keeps its outcome. */
function lastOutcome(what: string, say: (line: string) => void) {
  let last: string | undefined
  return {
    take: ({ outcome, step }: { outcome: string; step: string }) => {
      if (outcome === 'pending') say(`${what}: ${step}`)
      last = outcome
    },
    words: () => `${what}: ${last}`,
  }
}

function progress(what: string, done: number, total: number): string {
  return `${what} ${size(done)} of ${size(total)}`
}

function sharesOf(allocation: Allocation): string {
  return `${allocation.name}: shared with ${sharesText(allocation.shares)}`
}

function bytes(text: string): number {
  const value = parseSize(text)
  if (value === undefined) throw new UsageError(`'${text}' is not a size: write 4G, 512M, 2MiB or bytes`)
  return value
}

function placeOf(text: string): number {
  return /^0x/i.test(text) ? whole(text) : bytes(text)
}

function whole(text: string): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw new UsageError(`'${text}' is not a whole number`)
  return value
}

function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch {
    // Told below, as any other text that is no object.
  }
  throw new UsageError(`'${text}' is not a JSON object`)
}
