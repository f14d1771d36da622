import { createHmac } from 'node:crypto'

/** A proof as the page makes it, of a nonce that is asked for. Rejects when nobody gives one. */
export async function prove(
  { host, token }: { host: string; token: string },
  purpose: 'console' | 'asking' = 'console',
): Promise<string> {
  const answer = await fetch(`http://${host}/challenge`)
  return proofOf(await answer.text(), token, purpose)
}

export function proofOf(nonce: string, token: string, purpose = 'console'): string {
  return `${nonce}.${createHmac('sha256', token).update(`membroker ${purpose} ${nonce}`).digest('base64url')}`
}
