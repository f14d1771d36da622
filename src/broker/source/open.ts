import type { SourceKind } from '../../../protocol/source'
import type { RangeSettings } from '../config/settings'
import type { OpenedSource, SourceHost } from './source'

/** What the file NAME/NAME.ts of each source exports as `open`. @throws SourceError, or an error with a code (errno name) */
export type OpenSource = (settings: RangeSettings, host: SourceHost) => Promise<OpenedSource>

/** Loads only the code of sources that are used. */
export function openerOf(kind: SourceKind): OpenSource {
  return (require(`./${kind}/${kind}`) as { open: OpenSource }).open
}
