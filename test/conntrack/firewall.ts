import type { Exec } from '../../agent/host/exec.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { addresses } from './lab.ts'
import type { Dial } from './talk.ts'

const chains = ['INPUT', 'FORWARD', 'OUTPUT']

/** Accepts what is established, as every chain of the agent does first, and nothing else; forgets connections. */
export async function resetFilter(exec: Exec): Promise<void> {
  const accept = chains.map((chain) => `-A ${chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`)
  const policies = chains.map((chain) => `:${chain} ACCEPT [0:0]`)
  for (const family of families) await restore(exec, family, '', ['*filter', ...policies, ...accept])
  await exec('conntrack', ['-F'])
}

/** Drops new connections like this one, whatever becomes of their addresses on the way. */
export async function deny(exec: Exec, family: Family, dial: Dial): Promise<void> {
  const { protocol, source, port } = dial
  const match = `-p ${protocol} -m conntrack --ctorigsrc ${source} --ctorigdstport ${port}`
  await restore(exec, family, '--noflush', [
    '*filter',
    ...chains.map((chain) => `-A ${chain} ${match} -j DROP`),
  ])
}

/**
 * Ports of the node that lead to the same ports of the pod, as host ports do, and 22,000 above them such that lead
 * there too, as node ports do. What the pod sends from those ports to the outside bears the node's address.
 */
export async function addNat(exec: Exec, family: Family, ports: readonly number[]): Promise<void> {
  const [node] = addresses[family].node
  const [pod] = addresses[family].pod
  const target = family === 'ipv4' ? pod : `[${pod}]`
  const rules = ['tcp', 'udp'].flatMap((protocol) =>
    ports.flatMap((port) => [
      `-A PREROUTING -i eth0 -d ${node} -p ${protocol} --dport ${port} -j DNAT --to ${target}:${port}`,
      `-A PREROUTING -i eth0 -d ${node} -p ${protocol} --dport ${port + 22_000} -j DNAT --to ${target}:${port}`,
      `-A POSTROUTING -s ${pod} -o eth0 -p ${protocol} --sport ${port} -j SNAT --to ${node}`,
    ]),
  )
  await restore(exec, family, '--noflush', ['*nat', ...rules])
}

async function restore(exec: Exec, family: Family, option: string, lines: readonly string[]): Promise<void> {
  const program = family === 'ipv4' ? 'iptables-nft-restore' : 'ip6tables-nft-restore'
  await exec(program, option === '' ? [] : [option], { input: `${[...lines, 'COMMIT'].join('\n')}\n` })
}
