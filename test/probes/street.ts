import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Family } from '../../agent/ruleset/address.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { addressCommand, cableCommand, ip, prepare, settled } from '../sandbox/wire.ts'
import type { Answer, Order } from './order.ts'

/** A node, and a server at the other end of its cable, each with a process that does what it is told. */
export type Street = { readonly node: Neighbour; readonly server: Neighbour; close(): Promise<void> }
export type Neighbour = Host & { tell(order: Order): Promise<Answer> }

export const serverAddress: Record<Family, string> = { ipv4: '192.0.2.2', ipv6: '2001:db8::2' }
const nodeAddress: Record<Family, string> = { ipv4: '192.0.2.1', ipv6: '2001:db8::1' }

export type StreetSetting = {
  /** PEM file of a CA that the node's process trusts. */
  readonly trusted: string
  /** /etc/hosts as the node's process sees it; its /etc/resolv.conf names the server. */
  readonly hosts: string
}

export async function createStreet({ trusted, hosts }: StreetSetting): Promise<Street> {
  const [node, server] = await Promise.all([startHost(), startHost()])
  await Promise.all([prepare(node), prepare(server)])
  await ip(node, [cableCommand({ host: node, device: 'eth0' }, { host: server, device: 'eth0' })])
  const plug = async (host: Host, { ipv4, ipv6 }: Record<Family, string>) => {
    const addresses = [addressCommand(`${ipv4}/24`, 'eth0'), addressCommand(`${ipv6}/64`, 'eth0')]
    await ip(host, [...addresses, 'link set eth0 up'])
  }
  await Promise.all([plug(node, nodeAddress), plug(server, serverAddress)])
  await Promise.all([settled(node), settled(server)])
  const folder = await mkdtemp(join(tmpdir(), 'node-firewall-street-'))
  await writeFile(join(folder, 'hosts'), hosts)
  await writeFile(join(folder, 'resolv.conf'), `nameserver ${serverAddress.ipv4}\nsearch example.test\n`)
  const neighbours = {
    node: instruct(node, { NODE_EXTRA_CA_CERTS: trusted }, folder),
    server: instruct(server, {}, folder),
  }
  return {
    ...neighbours,
    async close() {
      await Promise.all([neighbours.node.close(), neighbours.server.close()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Starts the process of a host; it answers in the order it is asked. */
function instruct(host: Host, env: NodeJS.ProcessEnv, folder: string): Neighbour {
  const files = ['hosts', 'resolv.conf'].map((file) => `mount --bind ${join(folder, file)} /etc/${file}`)
  const program = [process.execPath, join(import.meta.dirname, 'host-process.ts')]
  const shell = ['sh', '-c', `${files.join(' && ')} && exec "$@"`, 'sh', ...program]
  const child = spawn(
    'nsenter',
    [`--target=${host.pid}`, '--net', '--', 'unshare', '--mount', '--', ...shell],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      detached: true,
    },
  )
  child.stdin.on('error', () => {}) // it has ended
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const waiting: ((answer: Answer) => void)[] = []
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line) as Answer))
  return {
    ...host,
    async tell(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`)
      const over = ended.then(() => ({ error: 'the process has ended' }))
      const answer = await Promise.race([new Promise<Answer>((resolve) => waiting.push(resolve)), over])
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
