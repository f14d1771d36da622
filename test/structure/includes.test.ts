/** Proves that the files of C and C++ form an order: each includes and calls only what stands before it, so that none form a circle. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../support/package-root'

/** From the ground up. A name is of its code and its header. */
const orders: Record<string, string[]> = {
  'native/lib/src': [
    ...[
      'json',
      'text',
      'memory',
      'error',
      'connection',
      'broker',
      'info',
      'link',
      'mapping',
      'stream',
      'errands',
    ],
    ...['notices', 'dispatch', 'grant', 'guest', 'calls', 'claim', 'participation', 'watch'],
  ],
  'native/src': [
    ...['fd', 'pidfd', 'fault_guard', 'blake3_lanes', 'blake3', 'crc32c', 'mapping', 'memory_file', 'sweep'],
    'live_update',
    ...['digest', 'scrub', 'table_map', 'dax_device', 'mount', 'tap', 'process', 'spawn', 'unix_socket'],
    ...['file_pages', 'launcher_main'],
    ...['worker_area', 'holders', 'present_pages', 'worker_main'],
    ...[
      'environment',
      'arguments',
      'glue',
      'async_call',
      'dax_glue',
      'live_update_glue',
      'memory_glue',
      'mount_glue',
      'process_glue',
    ],
    ...['readable_watch_glue', 'socket_glue', 'sweep_glue', 'table_map_glue', 'window_glue', 'addon'],
  ],
}

type Texts = Record<string, string>
const moduleOf = (file: string) => path.basename(file).replace(/\..*/, '')

function textsOf(folder: string): Texts {
  const names = readdirSync(path.join(packageRoot, folder))
  return Object.fromEntries(
    names.map(name => [name, readFileSync(path.join(packageRoot, folder, name), 'utf8')]),
  )
}

const withoutComments = (text: string) =>
  text.replace(/\/\*[\s\S]*?\*\//g, comment => comment.replace(/[^\n]/g, ''))

/** Includes, and calls of the public functions of libmembroker, which every file of it may see. */
function uses(texts: Texts): Array<{ file: string; line: number; target: string }> {
  const homes = new Map<string, string>()
  for (const [file, text] of Object.entries(texts))
    for (const [, name] of text.matchAll(/^\w[\w *]*?\b(mb_\w+)\([^;]*?\n\{/gm))
      homes.set(name!, moduleOf(file))
  return Object.entries(texts).flatMap(([file, text]) =>
    withoutComments(text)
      .split('\n')
      .flatMap((content, index) => {
        const included = /^#include "(?!\.\.\/membroker\.h")(.*)"/.exec(content)?.[1]
        const called = [...content.replace(/"[^"]*"/g, '').matchAll(/(?<=^\s.*)\b(mb_\w+)\(/g)].map(
          ([, name]) => homes.get(name!),
        )
        const targets = [included === undefined ? undefined : moduleOf(included), ...called]
        return targets.flatMap(target => (target === undefined ? [] : [{ file, line: index + 1, target }]))
      }),
  )
}

const upward = (texts: Texts, order: string[]) =>
  uses(texts)
    .filter(({ file, target }) => target !== moduleOf(file))
    .filter(({ file, target }) => !order.slice(0, order.indexOf(moduleOf(file))).includes(target))
    .map(({ file, line, target }) => `${file}:${line} uses ${target}`)

describe.each(Object.entries(orders))('%s', (folder, order) => {
  const texts = textsOf(folder)

  test('the order has each file, and no other', () => {
    expect([...new Set(Object.keys(texts).map(moduleOf))].sort()).toEqual([...order].sort())
  })

  test('each file includes and calls only what stands before it', () => {
    expect(uses(texts).length).toBeGreaterThan(50)
    expect(upward(texts, order)).toEqual([])
  })

  test('each header stands by itself: its own file includes it first', () => {
    const wrong = Object.keys(texts).filter(file => {
      const header = Object.keys(texts).find(name => /\.hh?$/.test(name) && moduleOf(name) === moduleOf(file))
      if (header === undefined || !/\.cc?$/.test(file)) return false
      return /#include (.*)/.exec(texts[file]!)?.[1] !== `"${header}"`
    })
    expect(wrong).toEqual([])
  })
})

test('the rule sees an include of a file above, a circle, an unknown file, and a call of a public function above', () => {
  const order = ['low', 'middle', 'high']
  const texts = {
    'low.h': '#include "high.h"\n',
    'low.c': '#include "low.h"\nmb_code low(void)\n{\n    return mb_high(NULL, 1);\n}\n',
    'middle.c': '#include "low.h"\n#include "../membroker.h"\n#include "nowhere.h"\n',
    'high.h': '#include "low.h"\n',
    'high.c':
      '#include "high.h"\n\nmb_code mb_high(mb_broker *broker,\n                int b)\n{\n    return 1;\n}\n',
  }
  expect(upward(texts, order)).toEqual(['low.h:1 uses high', 'low.c:4 uses high', 'middle.c:3 uses nowhere'])
})
