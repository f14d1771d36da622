import { spawn } from 'node:child_process'
import path from 'node:path'
import { ownPackage } from '../../../../native'
import { exitCode, Failure } from '../exit'

/** The command that starts broker-ctl again. */
export function ownProgram(): string[] {
  const { folder, bin } = ownPackage()
  return [process.execPath, path.join(folder, bin['broker-ctl']!)]
}

/**
 * Runs a verb of broker-ctl in a process of its own. That process holds what it makes only as long as it runs.
 * @throws Failure with the verb's words
 */
export async function runVerb(args: readonly string[], input: string | undefined, signal: AbortSignal) {
  const [file, ...own] = ownProgram()
  const child = spawn(file!, [...own, ...args, '--json'], { stdio: ['pipe', 'ignore', 'pipe'], signal })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== exitCode.good) throw failureOf(complaint, code ?? exitCode.refused)
}

function failureOf(complaint: string, exit: number): Failure {
  try {
    const { error, message } = JSON.parse(complaint.trim().split('\n').at(-1)!)
    return new Failure(String(error), String(message), exit)
  } catch {
    return new Failure('Failed', complaint.trim(), exit)
  }
}
