import pino from 'pino'
import type { Logger } from '../../src/broker/log/log'

export const silentLog = (): Logger => pino({ level: 'silent' })
