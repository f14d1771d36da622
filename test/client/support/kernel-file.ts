import { writeFileSync } from 'node:fs'
import path from 'node:path'

/** A kernel's image, as far as anybody reads it here: with the release in the header of images for x86, or with nothing. */
export function kernelFile(folder: string, name: string, release?: string): string {
  const file = path.join(folder, name)
  const image = Buffer.alloc(release === undefined ? 0 : 0x400)
  if (release !== undefined) {
    image.write('HdrS', 0x202)
    image.writeUInt16LE(0x100, 0x20e)
    image.write(`${release} (somebody@somewhere) #1 SMP`, 0x300)
  }
  writeFileSync(file, image)
  return file
}
