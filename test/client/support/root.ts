import path from 'node:path'

export const root = path.join(__dirname, '../../..')

/** The compiled tree, for what has to run in a process of its own. $MEMBROKER_DIST names another one. */
export const dist = process.env.MEMBROKER_DIST ?? path.join(root, 'dist')
