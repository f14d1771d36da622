/** By code units: the order of bytes, and much faster than that of a language. */
export function byText<T>(text: (row: T) => string): (a: T, b: T) => number {
  return (a, b) => {
    const [left, right] = [text(a), text(b)]
    return left < right ? -1 : left > right ? 1 : 0
  }
}

/** Missing values come first. */
export function byNumber<T>(value: (row: T) => number | null | undefined): (a: T, b: T) => number {
  return (a, b) => (value(a) ?? -1) - (value(b) ?? -1)
}

/** Whether every word is in one of the texts. */
export function hasWords(texts: readonly string[], words: readonly string[]): boolean {
  return words.every(word => texts.some(text => text.toLowerCase().includes(word)))
}
