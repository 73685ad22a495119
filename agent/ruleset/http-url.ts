import { formatEndpoint, parseEndpoint } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'

export type HttpUrl = Endpoint & {
  readonly isTls: boolean
  /** With its query, as it is sent. */
  readonly path: string
}

/**
 * Parses `https://example.com/health`. More strictly than `URL`, which takes http://010.0.0.1 for 8.0.0.1 and
 * https:example.com for the same as with slashes.
 *
 * @throws {Error} whose message says what is wrong, and repeats no password.
 */
export function parseHttpUrl(text: string): HttpUrl {
  const [all, scheme, authority = '', rest = ''] = /^(https?):\/\/([^/?#]*)(.*)$/.exec(text) ?? []
  if (authority.includes('@')) throw new Error('found a URL with a user or password, expected none')
  const found = `found ${JSON.stringify(text)}, expected`
  if (all === undefined || authority === '') {
    throw new Error(`${found} a URL, such as "https://example.com/health"`)
  }
  if (rest.includes('#')) throw new Error(`${found} a URL without "#...", which is never sent`)
  if (!/^[\x21-\x7e]*$/.test(rest)) throw new Error(`${found} other characters as %XX`)
  const isTls = scheme === 'https'
  return {
    isTls,
    ...parseEndpoint(authority, defaultPort(isTls)),
    path: rest.startsWith('/') ? rest : `/${rest}`,
  }
}

/** The inverse of parseHttpUrl. */
export function formatHttpUrl({ isTls, host, port, path }: HttpUrl): string {
  const endpoint = formatEndpoint({ host, port })
  const authority = port === defaultPort(isTls) ? endpoint.replace(/:\d+$/, '') : endpoint
  return `${isTls ? 'https' : 'http'}://${authority}${path}`
}

function defaultPort(isTls: boolean): number {
  return isTls ? 443 : 80
}
