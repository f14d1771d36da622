/** A QEMU that lets a command of its monitor wait for a file. */
export function slowQemu(program: string, go: string, command = 'cont'): string {
  return proxyQemu(
    program,
    `const isIt = bytes => bytes.includes(${JSON.stringify(`"${command}"`)})
const pass = bytes => {
  if (isIt(bytes) && !existsSync(${JSON.stringify(go)})) setTimeout(pass, 20, bytes)
  else qemu.stdio[3].write(bytes)
}
monitor.on('data', bytes => {
  if (isIt(bytes)) process.stderr.write('asked to go on\\n')
  pass(bytes)
})
qemu.stdio[3].pipe(monitor)
`,
  )
}

/** A QEMU that dies, is off or hangs as it gets a command on its monitor, while this file is there. */
export function faultyQemu(
  program: string,
  command: string,
  fault: 'dies' | 'is off' | 'hangs',
  file = '/',
): string {
  return proxyQemu(
    program,
    `let isHung = false
monitor.on('data', bytes => {
  isHung ||= bytes.includes(${JSON.stringify(`"${command}"`)}) && existsSync(${JSON.stringify(file)})
  if (!isHung) return qemu.stdio[3].write(bytes)
  if (${fault !== 'hangs'}) process.exit(${fault === 'dies' ? 3 : 0})
})
qemu.stdio[3].pipe(monitor)
`,
  )
}

/**
 * A QEMU that gets a signal before anybody hears its words. What it said earlier is heard first. Its pid is told then.
 * @param command it does not before it has this command
 */
export function signalledQemu(
  program: string,
  words: string,
  signal: 'SIGKILL' | 'SIGSTOP',
  command = '',
): string {
  return proxyQemu(
    program,
    `let isDue = ${command === ''}
let isOver = false
monitor.on('data', bytes => {
  isDue ||= bytes.includes(${JSON.stringify(`"${command}"`)})
  qemu.stdio[3].write(bytes)
})
qemu.stdio[3].on('data', bytes => {
  if (isOver) return
  const at = isDue ? bytes.indexOf(${JSON.stringify(words)}) : -1
  isOver = at >= 0
  if (isOver) qemu.kill('${signal}')
  if (isOver) process.stderr.write('${signal} for QEMU ' + qemu.pid + '\\n')
  monitor.write(isOver ? bytes.subarray(0, bytes.indexOf('\\n', at) + 1) : bytes)
})
`,
  )
}

/** A QEMU that refuses a command, while this file is there. */
export function refusingQemu(program: string, command: string, file = '/'): string {
  return proxyQemu(
    program,
    `monitor.on('data', bytes => {
  const refuses = bytes.includes('"' + ${JSON.stringify(command)} + '"') && existsSync(${JSON.stringify(file)})
  if (!refuses) return qemu.stdio[3].write(bytes)
  for (const line of bytes.toString().trim().split('\\n'))
    monitor.write(JSON.stringify({ error: { desc: 'refused' }, id: JSON.parse(line).id }) + '\\n')
})
qemu.stdio[3].pipe(monitor)
`,
  )
}

/** A QEMU whose answer to a command is none, while this file is there. */
export function nonsensicalQemu(program: string, command: string, file: string): string {
  return proxyQemu(
    program,
    `monitor.on('data', bytes => {
  if (!bytes.includes(${JSON.stringify(`"${command}"`)}) || !existsSync(${JSON.stringify(file)})) return qemu.stdio[3].write(bytes)
  for (const line of bytes.toString().trim().split('\\n'))
    monitor.write(JSON.stringify({ return: null, id: JSON.parse(line).id }) + '\\n')
})
qemu.stdio[3].pipe(monitor)
`,
  )
}

/** A QEMU that carries a command out and does not answer it, while this file is there. */
export function silentQemu(program: string, command: string, file: string): string {
  return proxyQemu(
    program,
    `const { createInterface } = require('node:readline')
const unanswered = new Set()
createInterface(monitor).on('line', line => {
  const { execute, id } = JSON.parse(line)
  if (execute === ${JSON.stringify(command)} && existsSync(${JSON.stringify(file)})) unanswered.add(id)
  qemu.stdio[3].write(line + '\\n')
})
createInterface(qemu.stdio[3]).on('line', line => {
  if (!unanswered.delete(JSON.parse(line).id)) monitor.write(line + '\\n')
})
`,
  )
}

/** A QEMU whose monitor a script handles; qemu, monitor. It has the descriptors of QEMU's memory too. */
function proxyQemu(program: string, script: string): string {
  return `#!${process.execPath}
const { spawn } = require('node:child_process')
const { existsSync } = require('node:fs')
const { Socket } = require('node:net')
const stdio = ['ignore', 'inherit', 'inherit', 'pipe', ...Array(6).fill('ignore'), 10]
const command = ['--pdeathsig', 'KILL', '--', ${JSON.stringify(program)}, ...process.argv.slice(2)]
const qemu = spawn('setpriv', command, { stdio })
const monitor = new Socket({ fd: 3 })
qemu.on('close', code => monitor.end(() => process.exit(code ?? 1)))
${script}`
}
