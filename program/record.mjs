// Lets V8 keep the code that it compiles at a start of each program, so that the next starts read it: see start.ts.
// A broker of its own, in a temporary folder, answers what most callers ask. Set-up and installation run this; it always
// succeeds, because a program without such a file only starts more slowly.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(import.meta.url)
const programs = path.join(path.dirname(here), '../dist/program')
const timeoutMs = 60_000
/** The exit code of programs that do not understand their orders. */
const usage = 2

const [mode, name, ...args] = process.argv.slice(2)
if (mode === '--run') recordOne(path.join(programs, `${name}.js`), args)
else if (existsSync(path.join(programs, 'start.js'))) await recordAll().catch(() => {})

/** In a process of its own: runs the program, and keeps its code and that of the runs before. */
function recordOne(file, args) {
  const { load, cacheOf } = createRequire(here)(path.join(programs, 'start.js'))
  process.argv = [process.execPath, file, ...args]
  const { script, run } = load(file)
  process.on('exit', () => {
    const cache = file.replace(/\.js$/, '.cache')
    const unfinished = `${cache}.${process.pid}`
    writeFileSync(unfinished, cacheOf(file, script), { mode: 0o644 })
    renameSync(unfinished, cache)
  })
  run()
}

async function recordAll() {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-record-'))
  const deadline = AbortSignal.timeout(timeoutMs)
  try {
    const socket = path.join(folder, 'socket')
    const config = path.join(folder, 'membroker.toml')
    writeFileSync(
      config,
      `[broker]\nsocket = "${socket}"\n[[range]]\nname = "files"\nsource = "directory"\npath = "${folder}/memory"\nbytes = "8MiB"
[[range]]\nname = "memfds"\nsource = "memfd"\nbytes = "8MiB"\n`,
    )
    // A VM whose QEMU ends at once: what comes before is what a start of a VM waits for.
    writeFileSync(
      path.join(folder, 'vm.toml'),
      '[vm]\nqemu = "true"\n[[memory]]\nbytes = "1MiB"\n[state]\nbytes = "1MiB"\n',
    )
    process.env.MEMBROKER_VM_RUNTIME = folder
    const ctl = (...args) => start(deadline, 'broker-ctl', '--socket', socket, ...args).ended
    // The second broker recovers what the first one had.
    for (const isFirst of [true, false]) {
      const broker = start(deadline, 'membrokerd', '--config', config)
      while (!existsSync(socket) && broker.child.exitCode === null && !deadline.aborted) await sleep(5)
      if (isFirst) await ctl('allocate', 'recorded', '1M')
      await ctl('exec', '--map', 'recorded', '--', path.join(folder, 'no such program'))
      await ctl('vm', 'run', 'vm', '--directory', folder)
      await ctl('status')
      if (isFirst) await ctl('list')
      broker.child.kill('SIGTERM')
      await broker.ended
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function start(signal, program, ...args) {
  const command = [here, '--run', program, ...args]
  const child = spawn(process.execPath, command, { stdio: 'ignore', signal, killSignal: 'SIGKILL' })
  // It did not understand its command line or its file: then what this is to record has not run.
  child.once('close', code => code === usage && console.error(`not recorded: ${program} ${args.join(' ')}`))
  const ended = new Promise(resolve => child.once('close', resolve).once('error', resolve))
  return { child, ended }
}
