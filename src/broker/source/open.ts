import type { SourceKind } from '../../../protocol/source'
import type { RangeSettings } from '../config/settings'
import type { OpenedSource, SourceHost } from './source'

/** Opens a range. The file NAME/NAME.ts of each source exports it as `open`. @throws SourceError, or an error with a code (errno name) */
export type OpenSource = (settings: RangeSettings, host: SourceHost) => Promise<OpenedSource>

/** Finds a source's code by its name, so that the broker loads only the code that it uses. */
export function openerOf(kind: SourceKind): OpenSource {
  return (require(`./${kind}/${kind}`) as { open: OpenSource }).open
}
