import { describeSource } from './description'
import { base } from './key'

export const devdax = describeSource({
  tableCode: 3,
  summary: 'soft-reserved memory, a device-DAX instance per allocation',
  keys: { base },
  can: { fdBound: 'kernel', forcedRevoke: true, directMap: true, discard: false },
  table: 'inRange',
  // For each page of device memory the kernel keeps a structure in its own.
  reservation: { as: 'softReserved', overheadBytesPerPage: 64, exampleLines: [] },
  kernel: () => ({
    options: ['CONFIG_DEV_DAX', 'CONFIG_DEV_DAX_HMEM', 'CONFIG_EFI_SOFT_RESERVE'],
    modules: ['device_dax', 'dax_hmem'],
  }),
})
