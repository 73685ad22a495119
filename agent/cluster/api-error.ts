import { OutsideError } from '../errors.ts'

/**
 * One request to the API server that failed.
 *
 * - `answer`: the server answered, and not with success: see `status` and `reason`
 * - `connection`: no answer, or one that broke off
 * - `timeout`: no answer in time
 * - `silence`: an answer that began, and none of its next lines in time
 * - `body`: an answer that cannot be understood
 * - `credentials`: nothing was sent, since token, CA or kubeconfig could not be read
 */
export class ApiError extends OutsideError {
  override readonly name = 'ApiError'
  /** Verb and path, as in `PATCH /api/v1/nodes/worker-1`. */
  readonly attempted: string
  readonly failure: Failure
  readonly status: number | undefined
  readonly reason: string | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(attempted: string, failure: Failure, why: string, details: ErrorDetails = {}) {
    super(`${attempted}: ${why}`, details.cause === undefined ? {} : { cause: details.cause })
    this.attempted = attempted
    this.failure = failure
    this.status = details.status
    this.reason = details.reason
    this.retryAfterSeconds = details.retryAfterSeconds
  }

  /** Two errors of one kind in a row tell a reader nothing new. */
  get kind(): string {
    return [this.failure, this.status, this.reason, errorCode(this.cause)].filter(Boolean).join(' ')
  }
}

export type Failure = 'answer' | 'connection' | 'timeout' | 'silence' | 'body' | 'credentials'

export type ErrorDetails = {
  readonly status?: number | undefined
  readonly reason?: string | undefined
  readonly retryAfterSeconds?: number | undefined
  readonly cause?: unknown
}

/** The error for an answer that is no success, or for the ERROR event of a watch. */
export function answerError(attempted: string, status: number, body: string, retryAfter?: string): ApiError {
  const { message, reason, seconds } = readStatus(body)
  const why = [status, reason, message].filter((part) => part !== undefined && part !== '').join(' ')
  return new ApiError(attempted, 'answer', why, {
    status,
    reason,
    retryAfterSeconds: toSeconds(retryAfter) ?? seconds,
  })
}

/** The shortest name of what went wrong: `ECONNREFUSED`, or the message of an error without a code. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}

type StatusBody = { message: string; reason: string | undefined; seconds: number | undefined }

/** Errors are a Status as a rule, and plain text where a filter or a proxy in front answers. */
function readStatus(body: string): StatusBody {
  const status = parseObject(body)
  if (status === undefined) return { message: shorten(body), reason: undefined, seconds: undefined }
  const details = isObject(status['details']) ? status['details'] : {}
  return {
    message: typeof status['message'] === 'string' ? shorten(status['message']) : '',
    reason: typeof status['reason'] === 'string' ? status['reason'] : undefined,
    seconds: typeof details['retryAfterSeconds'] === 'number' ? details['retryAfterSeconds'] : undefined,
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Some messages hold the whole object that was refused. */
export function shorten(text: string, limit = 500): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length > limit ? `${line.slice(0, limit)}…` : line
}

function toSeconds(header: string | undefined): number | undefined {
  return header !== undefined && /^\d+$/.test(header) ? Number(header) : undefined
}
