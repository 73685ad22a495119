import type { Backend } from '../../agent/netfilter/backend.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { Host } from '../../test/sandbox/host.ts'

/**
 * Counts the datagrams to a port in the kernel, before the filter and behind it: a socket would lose some, and
 * its answers would make the stream an established connection, all of which is let in.
 */
export async function createCounters({ exec }: Host, backend: Backend, port: number): Promise<void> {
  for (const family of families) {
    const match = ['-p', 'udp', '--dport', String(port)]
    await exec(program(backend, family), ['-t', 'raw', '-A', 'PREROUTING', ...match])
    await exec(program(backend, family), ['-A', 'INPUT', ...match, '-j', 'DROP'])
  }
}

export async function countPackets(
  { exec }: Host,
  backend: Backend,
  family: Family,
): Promise<{ readonly arrived: number; readonly letIn: number }> {
  const count = async (table: string, chain: string) => {
    const { stdout } = await exec(`${program(backend, family)}-save`, ['--counters', '-t', table])
    const line = stdout.split('\n').find((text) => text.includes(`-A ${chain} -p udp`))
    const packets = /^\[(\d+):/.exec(line ?? '')?.[1]
    if (packets === undefined) throw new Error(`the counting rule of ${chain} in ${table} is gone`)
    return Number(packets)
  }
  return { arrived: await count('raw', 'PREROUTING'), letIn: await count('filter', 'INPUT') }
}

function program(backend: Backend, family: Family): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`
}
