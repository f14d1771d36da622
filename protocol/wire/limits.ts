import { KiB, MiB } from '../units'

/** Limits of the protocol, each with its reason. WIRE.md lists the same names and values; a test compares the two. */

/**
 * A call, without its NUL. A name, a secret and metadata at their limits, every character escaped, are 33 KiB. It bounds
 * what a peer that never finishes a message makes the broker hold, and JSON as objects takes up to 20 times its length.
 */
export const messageBytesMax = 64 * KiB

/**
 * A reply, without its NUL. The largest that has no pages is a ListAllocations page: 256 of allocationJsonBytesMax, 3
 * MiB. A longer answer (a Watch snapshot) comes in several replies.
 */
export const replyBytesMax = 4 * MiB

/** An Allocation as JSON: metadata 4096, 64 extents of 55, 64 shares of 41, two names of 510, and numbers: 11.4 KiB. */
export const allocationJsonBytesMax = 12 * KiB

/** A Mapping as JSON: metadata 4096, a name of 510, and numbers: 4.9 KiB. */
export const mappingJsonBytesMax = 6 * KiB

/** Objects and arrays inside each other. JSON.stringify recurses, so an echoed deep value would overflow the stack. */
export const nestingMax = 64

/** The kernel takes 253 (SCM_MAX_FD); a Claim reply carries one per mapping of an allocation, at most 128. */
export const fdsPerMessageMax = 128

/**
 * Calls of one connection that wait for their turn, in bytes; beyond it the connection is not read until some are
 * answered. One read may overshoot it.
 */
export const callBytesInFlightMax = 64 * KiB

/** Calls of one connection answered in a row before the other connections of its uid have their turn. */
export const callsPerTurnMax = 16

/** Replies a peer has not read yet; beyond it the peer's calls wait. One reply may overshoot it. */
export const outputBytesMax = 4 * MiB

/** Descriptors in replies a peer has not read yet, as they are still open here; beyond it the peer's calls wait. */
export const outputFdsMax = 128

/** Replies of a stream its reader has not taken yet; beyond it the caller stops reading the connection. */
export const streamRepliesMax = 64

/** UTF-8 bytes of an allocation's name: the longest file name, so that any tool can make a file of each allocation. */
export const nameBytesMax = 255

/** UTF-8 bytes of an owner's metadata as JSON; it is kept in the allocation table, whose size is fixed. */
export const metadataBytesMax = 4096

/** Objects and arrays inside each other in metadata: it comes back inside replies, which are to stay below nestingMax. */
export const metadataNestingMax = 32

/** UTF-8 bytes of a secret; only its hash is kept, so this only bounds the hashing. */
export const secretBytesMax = 1024

/** An allocation so scattered is unusable for huge pages; it also bounds a device-DAX instance's mapping list. */
export const extentsPerAllocationMax = 64

/** As many as fdsPerMessageMax, so that Claim gives an allocation back in one reply. */
export const mappingsPerAllocationMax = 128

/** Of those, the mappings of all uids but the owner's together: they can't leave the owner without a place. */
export const sharedMappingsPerAllocationMax = 64

/** Allocations in one page of ListAllocations and in one Watch snapshot batch; replyBytesMax holds that many. */
export const listAllocationsMax = 256

/** Pieces of one Discard: with the largest numbers 56 KiB of JSON, which fit messageBytesMax. */
export const discardPiecesMax = 1024

/** Other uids that may map an allocation. */
export const sharesPerAllocationMax = 64

/**
 * The least grace a process of another uid gets from a caller that is no administrator, where the deadline kills it or
 * takes its memory: long enough to stop a guest. A configuration with less grace_ms than this means it.
 */
export const graceFloorMs = 1000

/** Verify runs once at a time. It waits so long for a caller that has more than outputBytesMax to read. */
export const verifyUnreadMsMax = 30_000

/** Pages that an owner may report as bad without the kernel's word. Failing modules have a few; an attacker would report all. */
export const poisonedPagesPerUidMax = 16

/** Watch calls at once of one uid, or with mine of one process: each change is sent to all of them. */
export const watchesMax = 64

/** Participants of one uid in updates, with those that left during one: a host's VMs may all run as one. */
export const participantsPerUidMax = 1024

/** UTF-8 bytes of a participant's name, and of why it failed: every follower of an update is sent them. */
export const participantNameBytesMax = 255
export const participantDetailBytesMax = 512

/** Participants in one reply: with everything at its limit 1.8 KiB each, 1.8 MiB. */
export const participantRowsMax = 1024

/** The longest that an update may wait for its participants. */
export const updateDeadlineMsMax = 3_600_000

/** How long a program may take to replace the kernel, at most and by default, before the update is called off. */
export const updateWithinMsMax = 3_600_000
export const updateWithinMs = 60_000

/** Participants of the last update that the table keeps, and the share of the table's room that they may fill. */
export const outcomesMax = 4096
export const outcomesShare = 16

/** A participant's times may be so far from the update's, as clocks are set after a boot. */
export const resumedSkewMs = 86_400_000

/** How long a begun update stays that nobody keeps, or that proceeds, after its time: a command that reconnects is back by then. */
export const updateUnkeptMsMax = 10_000

/** How long a restarted broker waits for participants to come back before it takes an update for ready. */
export const participantsReturnMs = 5_000

/** Numbers of participants that one start of a broker gives: more than ever join one, and all of them are safe integers. */
export const participantsPerStart = 1_000_000

/** Bad memory in one reply: with the longest names 0.7 KiB a row, 2.9 MiB. ListPoisoned sends the rest in further ones. */
export const poisonRowsMax = 4096

/** Bounds on the cost of one connection for the side that answers it. */
export interface ResponderLimits {
  readonly messageBytesMax: number
  readonly callBytesInFlightMax: number
  readonly outputBytesMax: number
  readonly outputFdsMax: number
}

export const responderLimits: ResponderLimits = {
  messageBytesMax,
  callBytesInFlightMax,
  outputBytesMax,
  outputFdsMax,
}

/** Bytes that ReadAllocation shows at once: a screen full. */
export const readAllocationBytesMax = 16 * KiB
