import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { packageRoot } from '../../support/package-root'

/** This package's build in a folder of its own, as if it had another version. */
export function makeRelease(folder: string, version: string): string {
  mkdirSync(folder, { recursive: true })
  for (const part of ['native', 'node_modules', 'protocol'])
    symlinkSync(path.join(packageRoot, part), path.join(folder, part))
  cpSync(path.join(packageRoot, 'dist'), path.join(folder, 'dist'), { recursive: true })
  const manifest = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ ...manifest, version }))
  return folder
}
