import { pino } from 'pino'
import type { Logger } from 'pino'

export type { Logger } from 'pino'
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** JSON lines on stdout: `level` as a word, `time` in RFC 3339, errors with their causes. */
export function createLog(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  })
}
