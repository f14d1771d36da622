/** An allocation or a participant. */
export interface Named {
  readonly uid: number
  readonly name: string
}

/**
 * What may lose what it has not saved, by patterns: NAME, or UID:NAME; `*` in a name stands for any text. Names of participants
 * are their owners' own words, so NAME does not stand for one whose name participants of several users have.
 */
export class Ignored {
  private readonly patterns: ReadonlyArray<{ uid: number | undefined; form: RegExp }>

  constructor(patterns: readonly string[]) {
    this.patterns = patterns.map(pattern => {
      const [, uid, name] = /^(?:(\d+):)?(.*)$/s.exec(pattern)!
      const form = name!.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*+/g, '.*')
      return { uid: uid === undefined ? undefined : Number(uid), form: new RegExp(`^${form}$`, 's') }
    })
  }

  /** Those of allocations that may lose nothing. */
  rest<One extends { readonly uid: number; readonly allocation: string }>(all: readonly One[]): One[] {
    return all.filter(({ uid, allocation: name }) => !this.has({ uid, name }))
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
    return this.patterns.some(pattern => pattern.uid === uid && pattern.form.test(name))
  }

  private means({ name }: Named): boolean {
    return this.patterns.some(({ uid, form }) => uid === undefined && form.test(name))
  }
}

const isShared = ({ uid, name }: Named, among: readonly Named[]) =>
  among.some(other => other.name === name && other.uid !== uid)
