import { ownPackage } from './package'

export function version(): string {
  return ownPackage().version
}
