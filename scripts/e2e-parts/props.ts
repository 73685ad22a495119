import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment'
import type { IDaemonSet } from 'kubernetes-models/apps/v1/DaemonSet'
import type { INamespace } from 'kubernetes-models/v1/Namespace'
import type { IService } from 'kubernetes-models/v1/Service'

/** What the run itself puts into the cluster is in a namespace of its own, which goes at the end. */
export const ownNamespace = 'node-firewall-e2e'
const serverPort = 8080

export type Prop = IDaemonSet | IDeployment | INamespace | IService

/**
 * A witness on every node, who reads its kernel while no agent is there, and a server behind a NodePort. Both are of the
 * agent's image, so that no other one is needed.
 */
export function makeProps(image: string): readonly Prop[] {
  return [makeNamespace(), makeWitness(image), makeServer(image), makeService()]
}

function makeNamespace(): INamespace {
  const labels = { 'pod-security.kubernetes.io/enforce': 'privileged' }
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: ownNamespace, labels } }
}

function makeWitness(image: string): IDaemonSet {
  const labels = { app: 'witness' }
  const container = {
    name: 'witness',
    image,
    command: ['sleep', 'infinity'],
    securityContext: { privileged: true },
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'witness', namespace: ownNamespace },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          hostNetwork: true,
          // By it the host's files are in /proc/1/root.
          hostPID: true,
          tolerations: [{ operator: 'Exists' }],
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          terminationGracePeriodSeconds: 0,
          containers: [container],
        },
      },
    },
  }
}

function makeServer(image: string): IDeployment {
  const labels = { app: 'server' }
  const program = `require('node:net').createServer((socket) => socket.end()).listen(${serverPort})`
  const container = {
    name: 'server',
    image,
    command: ['node', '--eval', program],
    readinessProbe: { tcpSocket: { port: serverPort }, periodSeconds: 1 },
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'server', namespace: ownNamespace },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          // A cluster of one node has its control plane on it.
          tolerations: [{ operator: 'Exists' }],
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          terminationGracePeriodSeconds: 0,
          containers: [container],
        },
      },
    },
  }
}

function makeService(): IService {
  const ports = [{ port: serverPort, targetPort: serverPort }]
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'server', namespace: ownNamespace },
    spec: { type: 'NodePort', selector: { app: 'server' }, ports },
  }
}
