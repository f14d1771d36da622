export type {
  Client,
  Event,
  Extent,
  MethodStatistics,
  Participant,
  Poison,
  Range,
  Recovery,
  Retired,
  ShareRight,
  Update,
  UpdateOutcome,
  UpdateReport,
  Usage,
} from '../../protocol/generated/broker'
export { GiB, KiB, MiB, TiB } from '../../protocol/units'
export type { LogLevel, ReadOptions, Reloaded, Statistics } from './administration'
export {
  Allocation,
  type AllocationInfo,
  type MapOptions,
  type MappingInfo,
  type ReleaseOutcome,
} from './allocation'
export { Broker } from './broker'
export { type ConnectOptions, connect } from './connect'
export { BrokerError, type LocalErrorCode } from './errors'
export { type MappingState, type RevokeHandler, type RevokeNotice, windowBytesMax } from './held-mapping'
export type { ReconnectOptions } from './link'
export { Mapping, type WindowOptions } from './mapping'
export type {
  Access,
  AllocateOptions,
  BrokerEvents,
  CallOptions,
  EndOptions,
  Found,
  ListOptions,
  MappingEnd,
  Metadata,
  RevokeOutcome,
  Status,
  Step,
  Verdict,
} from './options'
export type { ParticipateOptions, Participation, UpdateNotice } from './participant'
export type {
  Claimable,
  ClaimableOptions,
  Claimed,
  ClaimOptions,
  NotClaimed,
  RebuildOptions,
  Rebuilt,
  TakeOverOptions,
} from './rebuild'
export { defaultSocket } from './socket-path'
export type { BeginUpdateOptions, ResumePhases, UpdateProgress } from './update'
export type {
  BadMemory,
  FreezeOptions,
  Progress,
  ProgressOptions,
  Verified,
  VerifyOptions,
} from './verify'
export type { WatchEvent, WatchItem, WatchMissed, WatchSnapshot } from './watch'
