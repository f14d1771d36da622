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

/** The time for an answer: a program that listens there may give none. */
export const patience = () => AbortSignal.timeout(10_000)

/** The program that answers does not have this page's token. */
export class NotTheBroker extends Error {}

/**
 * The page's proof that it has the token, after the broker's own proof: any program may listen there while the broker
 * is away. The page never sends the token itself. Throws NotTheBroker, or if it gets no challenge.
 */
export async function prove(token: string, purpose: 'console' | 'asking'): Promise<string> {
  const own = base64url(crypto.getRandomValues(new Uint8Array(32)))
  const answer = await fetch(`/challenge?${own}`, { cache: 'no-store', signal: patience() })
  if (!answer.ok) throw new Error(`no challenge: ${answer.status}`)
  const [nonce, brokers] = (await answer.text()).split('.') as [string, string?]
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', bytesOf(token), hmac, false, ['sign'])
  const proofOf = async (text: string) =>
    base64url(new Uint8Array(await crypto.subtle.sign(hmac, key, bytesOf(`membroker ${text}`))))
  if (brokers !== (await proofOf(`broker ${own} ${nonce}`))) throw new NotTheBroker()
  return `${nonce}.${await proofOf(`${purpose} ${nonce}`)}`
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
