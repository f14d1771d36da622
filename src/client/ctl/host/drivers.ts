import type { HostFiles } from './host-files'

/** A running driver shows itself here. A built-in one often has no folder in /sys/module. */
const places = {
  dax_hmem: ['/sys/bus/platform/drivers', 'hmem'],
  device_dax: ['/sys/bus/dax/drivers', 'device_dax'],
  kmem: ['/sys/bus/dax/drivers', 'kmem'],
} as const

type Driver = keyof typeof places

export function stateOf(files: HostFiles, driver: Driver): 'absent' | 'loaded' | 'builtIn' {
  if (isBuiltIn(files, driver)) return 'builtIn'
  if (files.list(`/sys/module/${driver}`).length > 0) return 'loaded'
  const [folder, name] = places[driver]
  return files.list(folder).includes(name) ? 'builtIn' : 'absent'
}

function isBuiltIn(files: HostFiles, driver: Driver): boolean {
  const release = files.text('/proc/sys/kernel/osrelease')
  const list = files.text(`/lib/modules/${release}/modules.builtin`) ?? ''
  return list.split('\n').some(file => file.endsWith(`/${driver}.ko`))
}
