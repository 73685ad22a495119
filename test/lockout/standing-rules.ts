import { families } from '../../agent/ruleset/address.ts'
import type { Host } from '../sandbox/host.ts'

/**
 * All rules and sets of a host, ours and others', without counters. Chains stand in the order of their names: those that
 * went and came again are the last to be printed. The order within a chain is kept.
 */
export async function standingRules(host: Host, backend: string): Promise<string> {
  const tables = families.map(async (family) => {
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-save`
    const { stdout } = await host.exec(program, ['-t', 'filter'])
    const lines = stdout.split('\n').filter((line) => /^[:-]/.test(line))
    return lines.map((line) => line.replace(/ \[\d+:\d+\]$/, '')).toSorted(byChain)
  })
  const { stdout: sets } = await host.exec('ipset', ['save'])
  // Each set hashes by a number of its own.
  const kept = sets.split('\n').map((line) => line.replace(/ initval \S+/, ''))
  return [...(await Promise.all(tables)).flat(), ...kept.toSorted()].join('\n')
}

/** `:NAME POLICY` and `-A NAME RULE` */
function byChain(a: string, b: string): number {
  const [left, right] = [chainOf(a), chainOf(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

function chainOf(line: string): string {
  return /^(?::|-A )(\S+)/.exec(line)?.[1] ?? ''
}
