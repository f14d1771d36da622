/** `no such file or directory`: of Node's text without the code before it, and the call and the path behind it. */
export function systemReason(error: unknown): string {
  return (error as Error).message.replace(/^E[A-Z0-9]+: /, '').replace(/, \w+(?: '.*)?$/s, '')
}
