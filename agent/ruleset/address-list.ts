import type { Cidr } from './address.ts'
import { parseCidr } from './address.ts'
import type { Problem } from './problem.ts'
export function parseAddressList(
  _path: string,
  text: string,
): { cidrs: readonly Cidr[]; problems: readonly Problem[] } {
  return {
    cidrs: text
      .split('\n')
      .map((l) => l.replace(/[#;].*/, '').trim())
      .filter(Boolean)
      .map(parseCidr),
    problems: [],
  }
}
