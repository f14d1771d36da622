import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import path from 'node:path'

const inBundle = /(\/[^()]*\.bundle\.js):(\d+):(\d+)/
const maps = new Map<string, SourceMap | undefined>()

/** An error's stack, as V8 writes it, with the files, lines and columns of the sources. */
export function describe(error: Error, sites: readonly NodeJS.CallSite[]): string {
  const frames = sites.map(site => `\n    at ${String(site).replace(inBundle, inSource)}`)
  return `${headOf(error)}${frames.join('')}`
}

function headOf(error: Error): string {
  try {
    return Error.prototype.toString.call(error)
  } catch {
    return 'Error'
  }
}

function inSource(place: string, bundle: string, line: string, column: string): string {
  const entry = mapOf(bundle)?.findEntry(Number(line) - 1, Number(column) - 1)
  if (!entry || !('originalSource' in entry)) return place
  const { originalSource, originalLine, originalColumn } = entry
  return `${path.resolve(path.dirname(bundle), originalSource)}:${originalLine + 1}:${originalColumn + 1}`
}

/** Read when the first error is described: most processes never need it. */
function mapOf(bundle: string): SourceMap | undefined {
  if (!maps.has(bundle)) maps.set(bundle, read(`${bundle}.map`))
  return maps.get(bundle)
}

function read(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}
