import type { Issue } from './explain-issue.ts'
import { parseHttpUrl } from './http-url.ts'
import type { ProbeDocument } from './probe-schema.ts'

const kinds = ['tcp', 'http', 'dns', 'icmp'] as const

/** What is wrong between the fields of a probe, each of which is sound. */
export function checkProbe(probe: ProbeDocument): Issue[] {
  const given = kinds.filter((kind) => probe[kind] !== undefined)
  const issues: Issue[] = []
  if (given.length === 0) {
    issues.push({ path: [], message: `found none of ${kinds.join(', ')}, expected one of them` })
  }
  if (given[1] !== undefined) {
    const message = `found ${given.join(' and ')} in one probe, expected one of them`
    issues.push({ path: [given[1]], part: 'key', message })
  }
  const onlyWith = (key: 'expect' | 'insecure' | 'server', kind: 'http' | 'dns') => {
    if (probe[key] === undefined || probe[kind] !== undefined) return
    issues.push({ path: [key], part: 'key', message: `found ${key} without ${kind}, expected it only there` })
  }
  onlyWith('expect', 'http')
  onlyWith('insecure', 'http')
  onlyWith('server', 'dns')
  if (probe.insecure === true && probe.http !== undefined && !parseHttpUrl(probe.http).isTls) {
    const message = 'found insecure with http://, expected it only with https://'
    issues.push({ path: ['insecure'], part: 'key', message })
  }
  return issues
}
