import type { ServicePorts } from '../policy/policy.ts'
import type { Listening } from './sockets.ts'

/** Programs of Kubernetes whose ports a node must not lose. */
export type Service = 'kubelet' | 'kube-apiserver' | 'etcd' | 'etcd-peer'

/** The name of the process and the TCP port that a service has unless it is told otherwise. */
const services: Readonly<Record<Service, { readonly process: string; readonly port: number }>> = {
  kubelet: { process: 'kubelet', port: 10_250 },
  'kube-apiserver': { process: 'kube-apiserver', port: 6443 },
  etcd: { process: 'etcd', port: 2379 },
  'etcd-peer': { process: 'etcd', port: 2380 },
}

/** The processes to ask for when reading the ports that listen. */
export const serviceProcesses: readonly string[] = [
  ...new Set(Object.values(services).map(({ process }) => process)),
]

/**
 * The port by which others reach a service on this node; undefined when it does not run here, or when its process
 * listens on several ports and none is the usual one.
 *
 * Where no process of the service's name listens, as when one program is all of them (k3s), the usual port counts.
 */
export function findServicePort(listening: readonly Listening[], service: Service): number | undefined {
  const { process, port: usual } = services[service]
  const open = listening.filter(({ protocol, address }) => protocol === 'tcp' && !isLoopback(address))
  const own = new Set(open.filter((socket) => socket.process === process).map(({ port }) => port))
  if (own.has(usual)) return usual
  if (own.size > 0) return own.size === 1 ? [...own][0] : undefined
  return open.some((socket) => socket.process === undefined && socket.port === usual) ? usual : undefined
}

/** The ports of all of them, in the words of the policy. */
export function findServicePorts(listening: readonly Listening[]): ServicePorts {
  const found = {
    kubelet: findServicePort(listening, 'kubelet'),
    apiServer: findServicePort(listening, 'kube-apiserver'),
    etcd: findServicePort(listening, 'etcd'),
    etcdPeer: findServicePort(listening, 'etcd-peer'),
  }
  return Object.fromEntries(Object.entries(found).filter(([, port]) => port !== undefined))
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (address.startsWith('127.') || address === '::1')
}
