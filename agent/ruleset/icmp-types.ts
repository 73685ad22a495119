import type { Family } from './address.ts'
import type { IcmpType } from './ruleset.ts'
export function parseIcmpType(text: string | number, family: Family): IcmpType {
  if (text === 'echo-request') return { type: family === 'ipv4' ? 8 : 128 }
  return { type: Number(text) }
}
