/** Proves that the completion scripts follow the command tree, tried in the shells themselves. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { completionScript } from '../../src/client/ctl/completion'
import { buildProgram } from '../../src/client/ctl/program'
import { runNow } from '../support/child'

/** What bash offers for a command line whose last word is being typed; names come from a broker-ctl of ours. */
function complete(...words: string[]): string[] {
  const directory = mkdtempSync(path.join(tmpdir(), 'membroker-completion-'))
  const stub = path.join(directory, 'broker-ctl')
  writeFileSync(stub, '#!/bin/sh\n[ "$1" = __vms ] && echo vm-1 || printf "%s\\n" vm-1/ram "odd name"\n')
  chmodSync(stub, 0o755)
  const quoted = ['broker-ctl', ...words].map(word => `'${word}'`).join(' ')
  const script = `${completionScript(buildProgram(), 'bash')}
    COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _broker_ctl; printf '%s\\n' "\${COMPREPLY[@]}"`
  const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` }
  const text = runNow('bash', ['-c', script], { env })
  rmSync(directory, { recursive: true })
  return text.split('\n').filter(word => word !== '')
}

test('bash offers verbs, their options, and names where a verb takes one', () => {
  // Proves the generated script in the shell itself.
  expect(complete('rev')).toEqual(['revoke'])
  expect(complete('unsh')).toEqual(['unshare'])
  expect(complete('log-level', 'w')).toEqual(['warn'])
  expect(complete('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh']))
  expect(complete('top', '--o')).toEqual(['--once'])
  expect(complete('read', 'vm', '--offset', '')).toEqual([])
  expect(complete('table', '')).toContain('dump')
  expect(complete('list', '--')).toEqual(expect.arrayContaining(['--socket', '--json', '--help']))
  expect(complete('show', 'vm')).toEqual(['vm-1/ram'])
  expect(complete('--socket', '/x', 'show', 'od')).toEqual(['odd\\ name'])
  expect(complete('allocate', 'vm')).toEqual([])
  expect(complete('vm', 'upgrade', '')).toContain('vm-1')
  expect(complete('vm', 'stop', 'v')).toEqual(['vm-1'])
  expect(complete('--socket', 'st')).toEqual([])
  expect(complete('exec', '--', 'r')).toEqual([])
})

test('no verb is forgotten, in either shell', () => {
  // Proves that the scripts follow the command tree.
  for (const shell of ['bash', 'zsh'] as const) {
    const script = completionScript(buildProgram(), shell)
    for (const verb of buildProgram()
      .commands.map(command => command.name())
      .filter(name => !name.startsWith('__')))
      expect(script).toContain(`'${verb}')`)
    expect(script).not.toMatch(/'__/)
  }
})
