import { ownPackage } from '../../native'

/** The package's version. */
export const { version } = ownPackage()
