import { afterAll, beforeAll, expect } from 'vitest'
import type { Answer, CallOptions, Watching } from './http-client.ts'
import type { ConformanceTarget } from './target.ts'

/** What the rows of the suite do with a server. */
export type Suite = {
  readonly tokens: () => ConformanceTarget['tokens']
  /** One request, with an admin's token unless it names another. */
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Answer>
  /** With the rights of the agent, and only for what is about these. */
  readonly asAgent: (method: string, path: string, options?: CallOptions) => Promise<Answer>
  readonly asAdmin: (method: string, path: string, body?: unknown) => Promise<Answer>
  /** A Node of a new name. */
  readonly createNode: (
    labels?: Record<string, string>,
  ) => Promise<{ name: string; uid: string; version: string }>
  /** A merge patch of a Node's metadata. */
  readonly patch: (
    name: string,
    metadata: unknown,
    options?: CallOptions & { query?: string },
  ) => Promise<Answer>
  readonly annotate: (name: string, annotations: unknown) => Promise<Answer>
  readonly watch: (path: string, options?: CallOptions) => Promise<Watching>
  readonly versionNow: () => Promise<string>
  readonly target: () => ConformanceTarget
  /** Leaves a row out, and says so, on a server that is older than this minor version of Kubernetes 1. */
  readonly needs: (minor: number, skip: (note: string) => void) => void
}

/** Starts a server before the rows that follow, and stops it after them. */
export function openSuite(start: () => Promise<ConformanceTarget>): Suite {
  let target: ConformanceTarget
  let count = 0
  beforeAll(async () => {
    target = await start()
  }, 180_000)
  afterAll(() => target.stop())

  const call: Suite['call'] = (method, path, options = {}) =>
    target.http.call(method, path, { token: target.tokens.admin, ...options })
  const asAdmin: Suite['asAdmin'] = (method, path, body) =>
    call(method, path, { contentType: 'application/json', body })
  const patch: Suite['patch'] = (name, metadata, { query = '', ...options } = {}) =>
    call('PATCH', `/api/v1/nodes/${name}${query}`, {
      contentType: 'application/merge-patch+json',
      body: { metadata },
      ...options,
    })

  return {
    call,
    asAgent: (method, path, options = {}) => call(method, path, { token: target.tokens.agent, ...options }),
    asAdmin,
    patch,
    tokens: () => target.tokens,
    annotate: (name, annotations) => patch(name, { annotations }),
    async createNode(labels = {}) {
      count += 1
      const name = `row-${count}`
      const { status, body } = await asAdmin('POST', '/api/v1/nodes', { metadata: { name, labels } })
      expect(status).toBe(201)
      return { name, uid: body.metadata?.uid ?? '', version: body.metadata?.resourceVersion ?? '' }
    },
    watch: (path, options = {}) =>
      target.http.watch(`${path}&watch=true`, { token: target.tokens.admin, ...options }),
    versionNow: async () => (await call('GET', only('none'))).body.metadata?.resourceVersion ?? '',
    target: () => target,
    needs(minor, skip) {
      const { version } = target
      if (version === undefined || version.minor >= minor) return
      const note = `it takes Kubernetes 1.${minor}, this is ${version.text}`
      console.warn(`SKIPPED: ${expect.getState().currentTestName ?? ''}: ${note}`)
      skip(note)
    },
  }
}

/** The path of a LIST or WATCH of one Node. */
export function only(name: string, more: Readonly<Record<string, string>> = {}): string {
  return `/api/v1/nodes?${new URLSearchParams({ fieldSelector: `metadata.name=${name}`, ...more }).toString()}`
}

/** Code, reason and message of an answer that has to be a Status. */
export function refusal({ status, body }: Answer): [number, string | undefined, string | undefined] {
  expect(body).toMatchObject({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    code: status,
  })
  return [status, body.reason, body.message]
}

export const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
export const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
