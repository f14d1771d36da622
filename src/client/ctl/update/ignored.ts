import type { Risk } from './survey'

/** An allocation or a participant; or a range that the broker can't read. */
export interface Named {
  readonly uid: number | 'range'
  readonly name: string
}

/**
 * What may lose what it has not saved, by patterns: NAME, UID:NAME, or range:NAME; `*` in a name stands for any text. Names of
 * participants are their owners' own words, so NAME does not stand for one whose name participants of several users have. Nor does
 * it stand for a range: all that is in there may be lost.
 */
export class Ignored {
  private readonly patterns: ReadonlyArray<{ uid: string | undefined; form: RegExp }>

  constructor(patterns: readonly string[]) {
    this.patterns = patterns.map(pattern => {
      const [, uid, name] = /^(?:(\d+|range):)?(.*)$/s.exec(pattern)!
      const form = name!.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*+/g, '.*')
      return { uid, form: new RegExp(`^${form}$`, 's') }
    })
  }

  /** Those of what may lose nothing. */
  rest(all: readonly Risk[]): Risk[] {
    return all.filter(
      ({ uid, allocation, range }) => !this.has({ uid: uid ?? 'range', name: allocation ?? range }),
    )
  }

  /** among: all that may have its name, too. */
  has(one: Named, among: readonly Named[] = []): boolean {
    return this.covers(one) || (this.means(one) && !isShared(one, among))
  }

  /** Those that NAME may mean, and nobody knows which of them it means. */
  ambiguous(among: readonly Named[]): Named[] {
    return among.filter(one => !this.covers(one) && this.means(one) && isShared(one, among))
  }

  private covers({ uid, name }: Named): boolean {
    return this.patterns.some(pattern => pattern.uid === String(uid) && pattern.form.test(name))
  }

  private means({ uid, name }: Named): boolean {
    return (
      uid !== 'range' && this.patterns.some(pattern => pattern.uid === undefined && pattern.form.test(name))
    )
  }
}

const isShared = ({ uid, name }: Named, among: readonly Named[]) =>
  among.some(other => other.name === name && other.uid !== uid)
