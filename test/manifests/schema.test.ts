import { describe, expect, it } from 'vitest'
import { findProblems } from './schema.ts'

const pod = (containers: object[]) => ({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'agent', annotations: { 'any.key/at-all': 'is fine' } },
  spec: {
    selector: { matchLabels: { app: 'agent' } },
    template: { metadata: { labels: { app: 'agent' } }, spec: { containers } },
  },
})

describe('the schema check of these tests', () => {
  it('accepts what is right', () => {
    const probe = { httpGet: { host: '127.0.0.1', port: 10_268, path: '/healthz' } }
    expect(findProblems(pod([{ name: 'agent', livenessProbe: probe }]))).toEqual([])
  })

  it('finds a misspelt field deep inside a list, once', () => {
    expect(findProblems(pod([{ name: 'agent', securityContext: { readonlyRootFilesystem: true } }]))).toEqual(
      ['unknown field /spec/template/spec/containers/0/securityContext/readonlyRootFilesystem'],
    )
    expect(findProblems(pod([{ name: 'agent', livenesProbe: { httpGet: { port: 1 } } }]))).toEqual([
      'unknown field /spec/template/spec/containers/0/livenesProbe',
    ])
  })

  it('finds a misspelt field at the top', () => {
    const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, dta: {} }
    expect(findProblems(configMap)).toEqual(['unknown field /dta'])
  })

  it('finds a value of a wrong type', () => {
    expect(findProblems(pod([{ name: 'agent', args: 'agent' }])).join()).toContain('must be array')
  })

  it('finds a missing field', () => {
    expect(findProblems(pod([{ image: 'agent' }])).join()).toContain('must have required property name')
  })

  it('does not pass a kind that it has no schema for', () => {
    expect(findProblems({ apiVersion: 'apps/v1', kind: 'Daemonset' })).toEqual([
      'no schema for apps/v1 Daemonset',
    ])
  })
})
