/** The addon with types and errors: functions throw SystemError where the addon returns -errno. */
export type * from './addon'
export * from './functions'
export * as native from './functions'
export { launcherFile, workerFile } from './load'
export { ownPackage } from './own-package'
