import { describeSource } from './description'
import { needed, pathKey } from './key'

export const pciBar = describeSource({
  tableCode: 5,
  summary: 'a BAR of a PCI device',
  keys: {
    path: needed(pathKey("the device's resource file in sysfs.")),
    table_path: needed(pathKey('the file of its allocation table.')),
  },
  bytesMin: 1,
  can: { fdBound: 'file', forcedRevoke: false, directMap: false, discard: false },
  table: 'elsewhere',
})
