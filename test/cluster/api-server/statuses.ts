import type { Resource } from './resources.ts'
import { qualifiedName } from './resources.ts'

export type Cause = { reason?: string; message: string; field?: string }

export type Details = {
  name?: string
  group?: string
  kind?: string
  causes?: Cause[]
  retryAfterSeconds?: number
}

/** The body of every answer that is no success. */
export type StatusBody = {
  kind: 'Status'
  apiVersion: 'v1'
  metadata: { continue?: string }
  status: 'Failure'
  message: string
  reason?: string
  details?: Details
  code: number
}

/** Thrown where a request is refused; the server answers with it. */
export class Refusal extends Error {
  readonly status: StatusBody
  readonly headers: Readonly<Record<string, string>>

  constructor(status: StatusBody, headers: Readonly<Record<string, string>> = {}) {
    super(status.message)
    this.status = status
    this.headers = headers
  }
}

export function failure(
  code: number,
  reason: string | undefined,
  message: string,
  details?: Details,
): StatusBody {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    ...(reason === undefined ? {} : { reason }),
    ...(details === undefined ? {} : { details }),
    code,
  }
}

export function badRequest(message: string): Refusal {
  return new Refusal(failure(400, 'BadRequest', message))
}

export function notFound(resource: Resource, name: string): Refusal {
  const message = `${qualifiedName(resource)} "${name}" not found`
  return new Refusal(failure(404, 'NotFound', message, about(resource, name)))
}

export function alreadyExists(resource: Resource, name: string): Refusal {
  const message = `${qualifiedName(resource)} "${name}" already exists`
  return new Refusal(failure(409, 'AlreadyExists', message, about(resource, name)))
}

const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again'

export function conflict(resource: Resource, name: string, why = MODIFIED): Refusal {
  const message = `Operation cannot be fulfilled on ${qualifiedName(resource)} "${name}": ${why}`
  return new Refusal(failure(409, 'Conflict', message, about(resource, name)))
}

/** 422. Causes repeat as often as the server runs the check; the message names each once. */
export function invalid(details: Details & { causes: Cause[] }): Refusal {
  const said = [...new Set(details.causes.map(({ field, message }) => `${field}: ${message}`))]
  const what = said.length === 1 ? said.join('') : `[${said.join(', ')}]`
  const kind = details.group === undefined ? details.kind : `${details.kind}.${details.group}`
  return new Refusal(
    failure(422, 'Invalid', `${kind ?? ''} "${details.name ?? ''}" is invalid: ${what}`, details),
  )
}

/** 504: the request names a version that lies in the future. */
export function futureVersion(asked: string, current: number): Refusal {
  const message = `Timeout: Too large resource version: ${asked}, current: ${current}`
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }]
  return new Refusal(failure(504, 'Timeout', message, { causes, retryAfterSeconds: 1 }), {
    'Retry-After': '1',
  })
}

export function expired(message: string): StatusBody {
  return failure(410, 'Expired', message)
}

function about({ group, plural }: Resource, name: string): Details {
  return { name, ...(group === '' ? {} : { group }), kind: plural }
}
