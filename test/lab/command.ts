import { spawn } from 'node:child_process'

/** Run a program to its end and return what it printed. @throws Error with its own words when it fails */
export function command(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    let complaints = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
    })
    child.once('error', cause => reject(new Error(`${file} could not be started`, { cause })))
    child.once('close', (code, signal) => {
      if (code === 0) resolve(printed)
      else
        reject(
          new Error(`${file} ${args.join(' ')}: ${signal ?? `exit status ${code}`}\n${complaints}${printed}`),
        )
    })
  })
}
