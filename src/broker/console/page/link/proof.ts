/** For an answer: whoever listens there may give none. */
export const patience = () => AbortSignal.timeout(10_000)

/**
 * What shows the broker that this page has the token. The token itself is never sent, as any program may listen there while
 * the broker is away, and keep a connection that the browser uses again. Throws when there is no challenge to be had.
 */
export async function prove(token: string, purpose: 'console' | 'asking'): Promise<string> {
  const answer = await fetch('/challenge', { cache: 'no-store', signal: patience() })
  if (!answer.ok) throw new Error(`no challenge: ${answer.status}`)
  const nonce = await answer.text()
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', bytesOf(token), hmac, false, ['sign'])
  const proof = await crypto.subtle.sign(hmac, key, bytesOf(`membroker ${purpose} ${nonce}`))
  return `${nonce}.${base64url(new Uint8Array(proof))}`
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
