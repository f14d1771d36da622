/** `no such file or directory`: of Node's text without the code before it, and the call and the path behind it. */
export function systemReason(error: unknown): string {
  return withoutCode(error).replace(/, \w+(?: '.*)?$/s, '')
}

/** The error's text, for where its code stands beside it. Node has the code first; the native addon's SystemError has it after the call. */
export function withoutCode(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException
  return message.replace(`${code}: `, '').replace(`${code}, `, '')
}
