const storageKey = 'membroker.token'

/**
 * The token that `broker-ctl console` puts behind the address. It is taken out of the address bar, where shoulders and
 * screenshots see it, and kept for this tab, so that reloading works. undefined when there is none.
 */
export function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token')
  if (given) {
    sessionStorage.setItem(storageKey, given)
    history.replaceState(null, '', location.pathname + location.search)
  }
  return given ?? sessionStorage.getItem(storageKey) ?? undefined
}

export function forgetToken(): void {
  sessionStorage.removeItem(storageKey)
}
