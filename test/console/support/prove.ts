import { createHmac } from 'node:crypto'
import { get } from 'node:http'

/** A proof as the page makes it, of a nonce that is asked for. Rejects when nobody gives one. */
export async function prove(
  { host, token }: { host: string; token: string },
  purpose: 'console' | 'asking' = 'console',
): Promise<string> {
  const nonce = await new Promise<string>((resolve, reject) => {
    let body = ''
    const asking = get(`http://${host}/challenge`, { agent: false }, answer => {
      answer.on('data', text => {
        body += text
      })
    })
    asking.once('error', reject)
    // Not before: who counts descriptors counts no more of this.
    asking.once('close', () => resolve(body))
  })
  return proofOf(nonce, token, purpose)
}

export function proofOf(nonce: string, token: string, purpose = 'console'): string {
  return `${nonce}.${createHmac('sha256', token).update(`membroker ${purpose} ${nonce}`).digest('base64url')}`
}
