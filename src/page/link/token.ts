const storageKey = 'membroker.token'

/**
 * The token that `broker-ctl console` puts behind the address. The page takes it out of the address bar, where
 * bystanders and screenshots see it. undefined: the address has none, and the page has kept none.
 */
export function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given) history.replaceState(null, '', location.pathname + location.search)
  return given ?? sessionStorage.getItem(storageKey) ?? undefined
}

/**
 * Keeps the token in this tab, so that a reload works. Only while the broker is there: a program that listens in its
 * place could answer a reload with a page that reads the token.
 */
export function keepToken(token: string): void {
  sessionStorage.setItem(storageKey, token)
}

export function forgetToken(): void {
  sessionStorage.removeItem(storageKey)
}
