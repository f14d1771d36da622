import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type ServerResponse, STATUS_CODES } from 'node:http'
import path from 'node:path'
import type { Duplex } from 'node:stream'
import { ownPackage } from '../../../native'
import type { Rejection } from './gate'

/** Headers of every answer. Only our page shows the content, and it reaches only us. */
const headers = {
  connection: 'close',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}
const nothingElse = ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
const noPolicy = ["default-src 'none'", ...nothingElse].join('; ')

/** host: our name in the request; the gate has checked it. */
export function sendPage(response: ServerResponse, page: Page, host: string): void {
  // A policy can't name an IPv6 address. In a browser whose 'self' does not cover WebSockets, only other addresses work.
  const sockets = host.startsWith('[') ? '' : ` ws://${host}`
  const policy = [
    "default-src 'none'",
    `script-src ${page.scripts}`,
    `style-src ${page.styles}`,
    `connect-src 'self'${sockets}`,
    'img-src data:',
    ...nothingElse,
  ]
  send(response, 200, 'text/html; charset=utf-8', page.html, policy.join('; '))
}

export function sendText(response: ServerResponse, text: string, type = plain): void {
  send(response, 200, type, text, noPolicy)
}

export function sendRejection(response: ServerResponse, { status, reason, location }: Rejection): void {
  if (location !== undefined) response.setHeader('location', location)
  if (status === 405) response.setHeader('allow', 'GET, HEAD')
  if (status === 426) response.setHeader('upgrade', 'websocket')
  send(response, status, plain, `${reason}\n`, noPolicy)
}

const plain = 'text/plain; charset=utf-8'

function send(response: ServerResponse, status: number, type: string, body: string | Buffer, policy: string) {
  response.writeHead(status, {
    ...headers,
    'content-security-policy': policy,
    'content-type': type,
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

/** Ends a connection that has asked for an upgrade. The server has let go of it, and does not apply its time limits. */
export function turnAway(socket: Duplex, { status, reason }: Rejection): void {
  const body = `${reason}\n`
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries({ ...headers, 'content-type': plain, 'content-length': body.length }).map(
      ([name, value]) => `${name}: ${value}`,
    ),
  ]
  socket.on('error', () => {})
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}

/**
 * The bytes of the page, and the hashes of the scripts that may run in it, as a Content-Security-Policy names them.
 */
export interface Page {
  html: Buffer
  scripts: string
  styles: string
}

/** The bundle that setup.mjs makes of src/page: one file that needs no other. @throws ENOENT */
export function loadPage(file = path.join(ownPackage().folder, 'dist/src/page/page.html')): Page {
  const html = readFileSync(file)
  const text = html.toString()
  return { html, scripts: hashes(text, 'script'), styles: hashes(text, 'style') }
}

function hashes(html: string, element: 'script' | 'style'): string {
  const blocks = html.matchAll(new RegExp(`<${element}(?:\\s[^>]*)?>([\\s\\S]*?)</${element}>`, 'g'))
  const list = [...blocks].map(([, text]) => {
    // Before a browser hashes a script, it turns each line end into one character.
    const digest = createHash('sha256').update(text!.replace(/\r\n?/g, '\n')).digest('base64')
    return `'sha256-${digest}'`
  })
  return list.length === 0 ? "'none'" : list.join(' ')
}
