import { createHash } from 'node:crypto'
import type { Cidr, Family } from '../ruleset/address.ts'
import { formatCidr } from '../ruleset/address.ts'
import type { ClusterSet } from '../ruleset/built-in-sets.ts'
export type Ipset = { readonly name: string; readonly family: Family; readonly cidrs: readonly Cidr[] }
export function staticSetName(family: Family, cidrs: readonly Cidr[]): string {
  return `node-firewall${family === 'ipv4' ? 4 : 6}-${createHash('sha256').update(cidrs.map(formatCidr).join(' ')).digest('hex').slice(0, 12)}`
}
export function clusterSetName(family: Family, set: ClusterSet): string {
  return `node-firewall${family === 'ipv4' ? 4 : 6}-${set}`
}
