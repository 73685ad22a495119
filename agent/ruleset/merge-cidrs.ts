import type { Cidr } from './address.ts'
import { formatCidr } from './address.ts'
export function mergeCidrs(cidrs: readonly Cidr[]): readonly Cidr[] {
  return [...new Map(cidrs.map((c) => [formatCidr(c), c])).values()]
}
