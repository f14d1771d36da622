import { bad, type CheckResult, good, type HostCheck, notApplicable } from '../check'
import type { HostFiles } from '../host-files'

const unit = 'membroker.service'
/** The service manager and its services look for programs in these folders. */
const programFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
/** The unit's settings can hide these folders from the service. */
const hiddenBy: Record<string, readonly string[]> = {
  ProtectHome: ['/root', '/home', '/run/user'],
  PrivateTmp: ['/tmp', '/var/tmp'],
}
const reinstall = 'npm install -g --prefix /usr/local ./membroker-*.tgz    # the tarball of npm pack'

/** The service can start only programs that it may see: fewer than the operator's shell finds. */
export const serviceFiles: HostCheck = {
  id: 'serviceFiles',
  run: ({ files }) => {
    const text = unitText(files)
    if (text === undefined) return notApplicable(`${unit} is not installed`)
    const command = setting(text, 'ExecStart')?.split(/\s+/)[0] ?? 'membrokerd'
    return judge(files, text, command, reinstall) ?? ofInterpreter(files, text, command)
  },
}

function ofInterpreter(files: HostFiles, text: string, command: string): CheckResult {
  const place = find(files, command)!
  const interpreter = /^#!\/usr\/bin\/env (\S+)/.exec(files.text(place) ?? '')?.[1]
  const repair = `install Node.js for all users, so that ${interpreter} is in /usr/local/bin or /usr/bin and its files are below /usr or /opt`
  const found = interpreter === undefined ? undefined : judge(files, text, interpreter, repair)
  return found ?? good(`${unit} starts ${files.realPath(place) ?? place}`)
}

/** undefined: the service can start it. */
function judge(files: HostFiles, text: string, command: string, repair: string): CheckResult | undefined {
  const place = find(files, command)
  if (place === undefined)
    return bad(`${unit} finds no ${command} in ${programFolders.slice(0, 4).join(', ')}`, repair)
  const real = files.realPath(place) ?? files.link(place) ?? place
  const hiding = Object.entries(hiddenBy).find(
    ([name, folders]) =>
      !/^(no|false|0|off)$/i.test(setting(text, name) ?? 'no') &&
      folders.some(folder => real.startsWith(`${folder}/`)),
  )
  return hiding && bad(`${unit} can't start ${real}: ${hiding[0]}= hides that folder from it`, repair)
}

const find = (files: HostFiles, command: string) =>
  command.startsWith('/')
    ? command
    : programFolders.map(folder => `${folder}/${command}`).find(file => isThere(files, file))

const isThere = (files: HostFiles, file: string) =>
  files.link(file) !== undefined || files.text(file) !== undefined

/** Reads the unit with its drop-ins, later ones last. */
function unitText(files: HostFiles): string | undefined {
  const folders = [
    '/etc/systemd/system',
    '/usr/local/lib/systemd/system',
    '/usr/lib/systemd/system',
    '/lib/systemd/system',
  ]
  const own = folders.map(folder => files.text(`${folder}/${unit}`)).find(text => text !== undefined)
  if (own === undefined) return undefined
  const dropIns = [...folders].reverse().flatMap(folder =>
    files
      .list(`${folder}/${unit}.d`)
      .filter(name => name.endsWith('.conf'))
      .map(name => files.text(`${folder}/${unit}.d/${name}`) ?? ''),
  )
  return [own, ...dropIns].join('\n')
}

const setting = (text: string, name: string) =>
  [...text.matchAll(new RegExp(`^${name}=[-@:+!|]*(\\S.*)$`, 'gm'))].at(-1)?.[1]?.trim()
