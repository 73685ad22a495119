import type { Host } from '../../test/sandbox/host.ts'
import type { Outcome } from '../../test/sandbox/protocol.ts'
import { clusterAddress } from '../../test/sandbox/cluster-addresses.ts'
import { listeners } from '../../test/sandbox/cluster.ts'
import type { Cluster } from '../../test/sandbox/cluster.ts'

export type Result = 'open' | 'refused' | 'silent'
/** What each visitor got, in the order of `visitors`. */
export type Row = readonly Result[]
export type Table = ReadonlyMap<string, Row>

const { internet, node: nodeAddress, nodePrivate, pod, pod2 } = clusterAddress

export const nodePrivateAddress = nodePrivate.ipv4

export const layout = `internet  ${Object.values(internet).join(', ')}
private   ${clusterAddress.private.ipv4}
node      ${[nodeAddress.ipv4, nodePrivateAddress, nodeAddress.ipv6].join(', ')}
pods      ${pod.ipv4} on the node, ${pod2.ipv4} on another one`

/** Who knocks, and at which address of the node. */
export const visitors = [
  { name: 'internet IPv4', host: 'internet', address: nodeAddress.ipv4 },
  { name: 'internet IPv6', host: 'internet', address: nodeAddress.ipv6 },
  { name: 'private', host: 'private', address: nodePrivateAddress },
] as const

export type Service = {
  readonly name: string
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  readonly port?: number
}

/** What the node offers: its own processes, and ports that lead to pods. */
export const services = [
  { name: 'SSH', protocol: 'tcp', port: 22 },
  { name: 'kubelet', protocol: 'tcp', port: 10_250 },
  { name: 'kubelet, read-only', protocol: 'tcp', port: 10_255 },
  { name: 'Calico BGP', protocol: 'tcp', port: 179 },
  { name: 'WireGuard', protocol: 'udp', port: 51_820 },
  { name: 'NodePort to a pod', protocol: 'tcp', port: 30_080 },
  { name: 'NodePort to a pod elsewhere', protocol: 'tcp', port: 30_081 },
  { name: 'NodePort to a pod (UDP)', protocol: 'udp', port: 30_053 },
  { name: 'hostPort of a pod', protocol: 'tcp', port: 8443 },
  { name: 'a forgotten one', protocol: 'tcp', port: 8080 },
  { name: 'ping', protocol: 'icmp' },
] as const satisfies readonly Service[]

/** Nobody in a sandbox takes this long, not even on a busy machine. */
const silenceMs = 3_000

/** Ports at which the sandbox answers already, on the node or by leading to a pod. */
const answered: ReadonlySet<number> = new Set([...listeners.node.tcp, 30_080, 30_081, 30_053, 8443])

/** Starts the services of the node that the sandbox does not have. */
export async function openServices({ node }: Cluster): Promise<void> {
  // So that answers to the private network come from the private address, and clients know them as answers.
  const route = ['route', 'replace', '192.168.128.0/17', 'via', '192.168.133.1', 'src', nodePrivateAddress]
  await node.exec('ip', route)
  // One ICMP error a second would be too few for a table full of visits at once.
  await node.exec('sh', ['-c', 'echo 0 > /proc/sys/net/ipv4/icmp_ratelimit'])
  for (const service of services) {
    if ('port' in service && !answered.has(service.port)) await node.listen(service.protocol, service.port)
  }
}

/** Sends real packets from everywhere to everything. */
export async function visitAll(sandbox: Cluster): Promise<Table> {
  const known = await knownServices(sandbox.node)
  const rows = known.map(async (service) => {
    const visits = visitors.map(async ({ host, address }) => visit(sandbox[host], address, service))
    return [service.name, await Promise.all(visits)] as const
  })
  return new Map(await Promise.all(rows))
}

/** Without a program to ping with, ping is left out. */
async function knownServices(host: Host): Promise<readonly Service[]> {
  const hasPing = await host.exec('ping', ['-V']).then(
    () => true,
    () => false,
  )
  return services.filter(({ protocol }) => protocol !== 'icmp' || hasPing)
}

async function visit(host: Host, address: string, { protocol, port }: Service): Promise<Result> {
  if (protocol === 'icmp' || port === undefined) return ping(host, address)
  return results[await host.probe({ protocol, address, port, silenceMs })]
}

const results: Readonly<Record<Outcome, Result>> = { accepted: 'open', refused: 'refused', silence: 'silent' }

async function ping(host: Host, address: string): Promise<Result> {
  const { stdout } = await host.exec('sh', ['-c', `ping -n -c 1 -W 3 ${address} || true`])
  if (stdout.includes(' 1 received')) return 'open'
  return / \+\d+ errors/.test(stdout) ? 'refused' : 'silent'
}
