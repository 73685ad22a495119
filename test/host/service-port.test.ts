import { expect, test } from 'vitest'
import { findServicePort, serviceProcesses } from '../../agent/host/service-port.ts'
import type { Service } from '../../agent/host/service-port.ts'
import type { Listening } from '../../agent/host/sockets.ts'

function tcp(port: number, process?: string, address?: string): Listening {
  return {
    protocol: 'tcp',
    family: 'ipv4',
    inode: port,
    port,
    ...(process === undefined ? {} : { process }),
    ...(address === undefined ? {} : { address }),
  }
}

const controlPlane = [
  tcp(10_248, 'kubelet', '127.0.0.1'),
  tcp(10_250, 'kubelet'),
  tcp(40_819, 'kubelet', '::1'),
  tcp(6443, 'kube-apiserver'),
  tcp(2379, 'etcd', '10.88.0.1'),
  tcp(2380, 'etcd', '10.88.0.1'),
  tcp(2381, 'etcd', '127.0.0.1'),
  tcp(22),
]

test.each<[string, Service, readonly Listening[], number | undefined]>([
  ['the usual port', 'kubelet', controlPlane, 10_250],
  ['the usual port', 'kube-apiserver', controlPlane, 6443],
  ['the port for clients', 'etcd', controlPlane, 2379],
  ['the port for its peers', 'etcd-peer', controlPlane, 2380],
  ['a service that does not run here', 'etcd', [tcp(10_250, 'kubelet')], undefined],
  [
    'another port, of its process',
    'kubelet',
    [tcp(10_248, 'kubelet', '127.0.0.1'), tcp(10_350, 'kubelet')],
    10_350,
  ],
  [
    'another port, in both families',
    'kube-apiserver',
    [tcp(8443, 'kube-apiserver', '10.0.0.1'), tcp(8443, 'kube-apiserver', 'fd00::1')],
    8443,
  ],
  [
    'two ports, the usual one among them',
    'kubelet',
    [tcp(10_255, 'kubelet'), tcp(10_250, 'kubelet')],
    10_250,
  ],
  ['two other ports', 'etcd', [tcp(12_379, 'etcd'), tcp(12_380, 'etcd')], undefined],
  ['one process that is all services', 'kubelet', [tcp(10_250), tcp(6443)], 10_250],
  ['a stranger on the usual port', 'kubelet', [tcp(10_250, 'etcd')], undefined],
  [
    'a stranger on the usual port, and the service on another',
    'kubelet',
    [tcp(10_250), tcp(10_350, 'kubelet')],
    10_350,
  ],
  ['only loopback', 'kube-apiserver', [tcp(6443, 'kube-apiserver', '127.0.0.1')], undefined],
  ['UDP is something else', 'kubelet', [{ ...tcp(10_250), protocol: 'udp' }], undefined],
  ['nothing listens', 'kubelet', [], undefined],
])('%s: %s', (_, service, listening, port) => {
  expect(findServicePort(listening, service)).toBe(port)
})

test('names of processes fit into /proc/<pid>/comm, which holds 15 letters', () => {
  expect(serviceProcesses).toEqual(['kubelet', 'kube-apiserver', 'etcd'])
  for (const name of serviceProcesses) expect(name.length).toBeLessThan(16)
})
