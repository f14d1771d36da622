const storageKey = 'membroker.token'

/**
 * The token that `broker-ctl console` puts behind the address. It is taken out of the address bar, where shoulders and
 * screenshots see it. undefined when there is none, and none was kept.
 */
export function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given) history.replaceState(null, '', location.pathname + location.search)
  return given ?? sessionStorage.getItem(storageKey) ?? undefined
}

/**
 * For this tab, so that reloading works. Only while the broker is there: what a program that listens in its place answers
 * to a reload is a page that could read it.
 */
export function keepToken(token: string): void {
  sessionStorage.setItem(storageKey, token)
}

export function forgetToken(): void {
  sessionStorage.removeItem(storageKey)
}
