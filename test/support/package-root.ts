import { existsSync } from 'node:fs'
import path from 'node:path'

/** The checkout this file was compiled from, or runs in. */
export const packageRoot = (() => {
  let folder = __dirname
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder)
  return folder
})()
