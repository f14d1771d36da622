/** Begins the words of a participant that failed, and whose guest does not run all the same. */
export const staysPaused = 'the guest stays paused'
