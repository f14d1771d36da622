/** Proves that README is true: its configuration is good, its examples run, and its commands exist. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { run } from '../support/child'
import { packageRoot } from '../support/package-root'
import { until } from '../support/test-broker'

const readme = readFileSync(path.join(packageRoot, 'README.md'), 'utf8')

/** The code blocks of a language, under the heading that begins so. */
function blocks(language: string, heading: string): string[] {
  const section = readme.split('\n## ').find(text => text.startsWith(heading))!
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, lang]) => lang === language)
    .map(([, , text]) => text!)
}

let folder: string
let environment: NodeJS.ProcessEnv
let broker: ChildProcess

beforeAll(async () => {
  folder = mkdtempSync('/dev/shm/membroker-readme-')
  // As `npm install -g .` does it: links named after the programs, on the PATH.
  const bin = path.join(folder, 'bin')
  mkdirSync(bin)
  const { bin: programs } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  for (const [name, file] of Object.entries<string>(programs))
    symlinkSync(path.join(packageRoot, file), path.join(bin, name))
  const qemu = path.join(bin, 'qemu-system-x86_64')
  writeFileSync(qemu, '#!/bin/sh\nstat -Lc %s /proc/self/fd/3\nprintf "%s\\n" "$@"\n')
  chmodSync(qemu, 0o755)
  const socket = path.join(folder, 'broker.sock')
  environment = { ...process.env, PATH: `${bin}:${process.env.PATH}`, MEMBROKER_SOCKET: socket }
  const [config] = blocks('toml', 'Operate it')
  writeFileSync(path.join(folder, 'verbatim.toml'), config!)
  writeFileSync(
    path.join(folder, 'config.toml'),
    config!.replace('/run/membroker/broker.sock', socket).replace('/dev/membroker', `${folder}/guests`),
  )
  broker = spawn('membrokerd', ['--config', path.join(folder, 'config.toml')], {
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  broker.stderr!.setEncoding('utf8').on('data', text => {
    log += text
  })
  await until(() => {
    if (broker.exitCode !== null) throw new Error(log)
    return log.includes('"ready"')
  }, 'the broker of README to be ready')
})
afterAll(async () => {
  broker.kill()
  await once(broker, 'exit')
  rmSync(folder, { recursive: true, force: true })
})

const shell = (text: string) => run('bash', ['-e', '-c', text], { cwd: packageRoot, env: environment })

test('the example of a configuration is a good one as it stands', async () => {
  // Proves that it needs no user, device or folder that a host may lack. That it starts a broker, the set-up has proved.
  const stdout = await run('membrokerd', ['--config', path.join(folder, 'verbatim.toml'), '--check'], {
    env: environment,
  })
  expect(stdout).toMatch(/is good: guests\n$/)
})

test('the examples for a VMM run word by word, and QEMU finds the memory where its line says', async () => {
  // Proves that the names, the options and the order of README are those of the library and of broker-ctl.
  const script = `${blocks('ts', 'Use it from a VMM').join('\n')}
    console.log(JSON.stringify([window.length, claimed.map(({ allocation }) => allocation.name), notClaimed]))
    await broker.close()`
  const stdout = await run(process.execPath, ['--input-type=module', '-e', script], {
    cwd: packageRoot,
    env: environment,
  })
  expect(JSON.parse(stdout)).toEqual([64 * 2 ** 20, ['vm-42/ram'], []])
  const [exec] = blocks('sh', 'Use it for QEMU')
  expect(await shell(exec!)).toMatch(
    /^4294967296\n-m\n4G\n(.*\n)*.*size=4294967296,mem-path=\/proc\/self\/fd\/3,share=on,align=2097152/,
  )
})

test('every line for operators does something, in the order they stand in', async () => {
  // Proves that no verb, option or path there is a wish.
  const lines = blocks('sh', 'Operate it')
    .join('')
    .split('\n')
    .filter(line => line.startsWith('broker-ctl '))
  expect(lines.length).toBeGreaterThan(6)
  for (const line of lines) {
    const command = line.replace('/dev/membroker', `${folder}/guests`).replace(/ +#.*/, '')
    const stdout = await shell(
      command.startsWith('broker-ctl watch') ? `timeout -s INT 2 ${command} || test $? = 124` : command,
    )
    expect([line, stdout]).toEqual([line, expect.stringMatching(/\w/)])
  }
  const completion = readme.match(/`(eval "\$\(broker-ctl completion bash\)")`/)![1]!
  expect(await shell(`${completion}; complete -p broker-ctl`)).toContain('_broker_ctl')
})

test('what is typed to install and to start is what package.json has', () => {
  // Proves that no script is named that is not there.
  const { scripts } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  const named = [...readme.matchAll(/npm (?:run ([\w-]+)|(start|test))/g)].map(
    ([, script, short]) => script ?? short!,
  )
  expect(named.length).toBeGreaterThan(3)
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named))
})
