import { useState } from 'preact/hooks'
import type { LinkState } from '../link/link'
import { useApp } from './hooks'

/** The page without a token that opens it. */
export function Refused({ why }: { why: Extract<LinkState, { kind: 'refused' }>['why'] }) {
  const { model } = useApp()
  const [token, setToken] = useState('')
  const useIt = (event: Event) => {
    event.preventDefault()
    const text = /token=([\w-]+)/.exec(token)?.[1] ?? token.trim()
    if (text !== '') model.link.useToken(text)
  }
  return (
    <main class="refused">
      <h1>membroker</h1>
      <p role="alert">
        {why === 'no-token'
          ? 'This page needs a token, and the address had none. A page that is reloaded has one only if the broker was there.'
          : 'The broker does not know this token, or what answers here is not the broker. It may be that of another broker, or an old one.'}
      </p>
      <p>On the broker's host, as root or another administrator of the broker, run</p>
      <pre>
        <code>broker-ctl console</code>
      </pre>
      <p>and open the address that it prints. The address, or its token, can also be given here:</p>
      <form onSubmit={useIt}>
        <label for="token">Address or token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          value={token}
          onInput={event => setToken(event.currentTarget.value)}
        />
        <button type="submit">Open</button>
      </form>
    </main>
  )
}
