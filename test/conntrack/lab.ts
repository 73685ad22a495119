import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import type { Order, Seen } from './talk.ts'

/**
 * A node between a client and a pod, each with two addresses of each family:
 *
 *     outside .10 .11 ── eth0 node cali1 ── pod .5 .6
 */
export type Lab = {
  readonly outside: Talker
  readonly node: Talker
  readonly pod: Talker
  close(): Promise<void>
}

export type Place = 'outside' | 'node' | 'pod'

/** A host with a process on it that holds connections. */
export type Talker = Host & { tell(order: Order): Promise<Seen | undefined> }

export const addresses = {
  ipv4: {
    outside: ['198.51.100.10', '198.51.100.11'],
    node: ['198.51.100.2', '198.51.100.3'],
    pod: ['10.244.0.5', '10.244.0.6'],
  },
  ipv6: {
    outside: ['2001:db8:1::10', '2001:db8:1::11'],
    node: ['2001:db8:1::2', '2001:db8:1::3'],
    pod: ['fd00:244::5', 'fd00:244::6'],
  },
} as const

/** All that the node calls its own. */
export const self: ReadonlySet<string> = new Set([
  ...addresses.ipv4.node,
  ...addresses.ipv6.node,
  '10.244.0.1',
  'fd00:244::1',
])

export async function createLab(): Promise<Lab> {
  const hosts = await Promise.all([startHost(), startHost(), startHost()])
  const [outside, node, pod] = hosts
  for (const host of hosts) await ip(host, ['link set lo up'])
  await ip(node, [
    `link add eth0 type veth peer name eth0 netns ${outside.pid}`,
    `link add cali1 type veth peer name eth0 netns ${pod.pid}`,
  ])
  const { ipv4, ipv6 } = addresses
  await plug(node, 'eth0', [...ipv4.node, ...ipv6.node])
  await plug(node, 'cali1', ['10.244.0.1', 'fd00:244::1'])
  await plug(outside, 'eth0', [...ipv4.outside, ...ipv6.outside])
  await plug(pod, 'eth0', [...ipv4.pod, ...ipv6.pod])
  await ip(pod, ['route add default via 10.244.0.1', '-6 route add default via fd00:244::1'])
  await ip(outside, [
    `route add 10.244.0.0/24 via ${ipv4.node[0]}`,
    `-6 route add fd00:244::/64 via ${ipv6.node[0]}`,
  ])
  const forwarding = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']
  const commands = forwarding.map((setting) => `echo 1 > /proc/sys/net/${setting}`)
  await node.exec('sh', ['-c', commands.join(' && ')])
  const talkers = { outside: await talkOn(outside), node: await talkOn(node), pod: await talkOn(pod) }
  return {
    ...talkers,
    close: async () => void (await Promise.all(Object.values(talkers).map(async (talker) => talker.close()))),
  }
}

async function plug(host: Host, device: string, own: readonly string[]): Promise<void> {
  const commands = own.map((address) =>
    address.includes(':')
      ? `address add ${address}/64 dev ${device} nodad`
      : `address add ${address}/24 dev ${device}`,
  )
  await ip(host, [...commands, `link set ${device} up`])
}

async function ip(host: Host, commands: readonly string[]): Promise<void> {
  for (const command of commands) await host.exec('ip', command.split(' '))
}

/** Starts the process on a host that holds its connections; it answers in the order it is asked. */
async function talkOn(host: Host): Promise<Talker> {
  const program = join(import.meta.dirname, 'talker.ts')
  const args = ['--target', String(host.pid), '--net', '--', process.execPath, program]
  const child = spawn('nsenter', args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
    detached: true,
  })
  child.stdin.on('error', () => {}) // it has ended
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const waiting: ((answer: Seen & { error?: string }) => void)[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    waiting.shift()?.((JSON.parse(line) ?? {}) as Seen)
  })
  return {
    ...host,
    async tell(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`)
      const answer = await new Promise<Seen & { error?: string }>((resolve) => waiting.push(resolve))
      if (answer.error !== undefined) throw new Error(`${JSON.stringify(order)}: ${answer.error}`)
      return answer
    },
    async close() {
      child.stdin.end()
      await ended
      await host.close()
    },
  }
}
