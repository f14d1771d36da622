import type { SourceKind } from '../../../protocol/source'
import type { OpenSource } from './source'

/** Each source's code is loaded when a range needs it. The bundler follows paths that are written out, and no others. */
const code: Record<SourceKind, () => { open: OpenSource }> = {
  directory: () => require('./directory/directory'),
  memfd: () => require('./memfd/memfd'),
  devdax: () => require('./devdax/devdax'),
  devmem: () => require('./devmem/devmem'),
  'pci-bar': () => require('./pci-bar/pci-bar'),
}

export function openerOf(kind: SourceKind): OpenSource {
  return code[kind]().open
}
