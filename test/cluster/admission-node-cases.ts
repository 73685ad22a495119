import { AGENT, agentOn } from './api-server/agent-identity.ts'
import type { Write } from './api-server/admission.ts'
import { NODES } from './api-server/resources.ts'
import { NODE, admin, noNode, nowhere } from './admission-case.ts'
import type { Case, Fields } from './admission-case.ts'

const ours = { key: 'node-firewall.io/not-ready', effect: 'NoSchedule' }
const oursToo = { ...ours, effect: 'NoExecute' }
const cordon = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
const cloud = { key: 'node.cloudprovider.kubernetes.io/uninitialized', value: 'true', effect: 'NoSchedule' }

const metadata = {
  name: NODE,
  uid: 'e5c1a1ab-0de5-4b5e-8f05-1f1a4c7e4c55',
  resourceVersion: '1204',
  creationTimestamp: '2026-11-21T03:00:00Z',
  labels: { 'kubernetes.io/hostname': NODE, pool: 'web' },
  annotations: { 'node-firewall.io/state': 'Enforcing', 'example.org/owner': 'infra' },
  managedFields: [
    { manager: 'kubelet', operation: 'Update', apiVersion: 'v1', time: '2026-11-21T03:00:00Z' },
  ],
}
const spec = { podCIDRs: ['10.244.1.0/24'], providerID: 'a://1', taints: [cordon, ours, cloud, oursToo] }
const status = { conditions: [{ type: 'Ready', status: 'True' }], allocatable: { cpu: '2' } }
const node = { apiVersion: 'v1', kind: 'Node', metadata, spec, status }

const withMetadata = (change: Fields) => ({ ...node, metadata: { ...metadata, ...change } })
const withAnnotations = (change: Fields) =>
  withMetadata({ annotations: { ...metadata.annotations, ...change } })
const withSpec = (change: Fields) => ({ ...node, spec: { ...spec, ...change } })
const without = (object: Fields, key: string) =>
  Object.fromEntries(Object.entries(object).filter(([each]) => each !== key))

const update = (object: unknown, more: Partial<Write> = {}): Write => ({
  identity: agentOn(NODE),
  operation: 'UPDATE',
  resource: NODES,
  namespace: undefined,
  name: NODE,
  object,
  before: node,
  ...more,
})
const state = withAnnotations({ 'node-firewall.io/state': 'Off' })
const other = { ...node, metadata: { ...metadata, name: 'worker-2' } }

const nothingElse = 'an agent may change metadata.annotations and spec.taints of its Node, and nothing else'
const noMetadata = 'an agent may change the annotations of its Node, and no other metadata'
const noAnnotation =
  'of the annotations of its Node, an agent may change those that begin with node-firewall.io/'
const noSpec = 'an agent may change the taints of its Node, and nothing else of its spec'
const noTaint = 'of the taints of its Node, an agent may take off node-firewall.io/not-ready, and put on none'
const onlyPatch =
  'an agent may patch its Node, and neither make, delete nor connect to one, nor write a subresource'
const notHere = `an agent on node "${NODE}" may not write to node "worker-2"`

export const nodeCases: readonly Case[] = [
  { name: 'nothing', write: update(node) },
  { name: 'an annotation of ours', write: update(state) },
  { name: 'a new one of ours', write: update(withAnnotations({ 'node-firewall.io/mode': 'off' })) },
  {
    name: 'takes off all of ours',
    write: update(withMetadata({ annotations: { 'example.org/owner': 'infra' } })),
  },
  {
    name: 'the first annotation of a Node',
    write: update(withMetadata({ annotations: { 'node-firewall.io/state': 'Off' } }), {
      before: withMetadata({ annotations: undefined }),
    }),
  },
  {
    name: 'the last annotation of a Node',
    write: update(withMetadata({ annotations: undefined }), {
      before: withMetadata({ annotations: { 'node-firewall.io/state': 'Off' } }),
    }),
  },
  {
    name: 'what the server writes with it',
    write: update(
      withMetadata({
        resourceVersion: '1205',
        generation: 2,
        managedFields: [{ manager: 'node-firewall', operation: 'Update', apiVersion: 'v1' }],
      }),
    ),
  },
  { name: 'takes off our taint', write: update(withSpec({ taints: [cordon, cloud] })) },
  {
    name: 'takes off the last taint',
    write: update(withSpec({ taints: undefined }), { before: withSpec({ taints: [ours] }) }),
  },
  { name: 'a Node without a spec', write: update({ ...state, spec: {} }, { before: { ...node, spec: {} } }) },

  { name: 'another Node', write: update(other, { name: 'worker-2', before: other }), denied: notHere },
  {
    name: 'another annotation',
    write: update(withAnnotations({ 'example.org/owner': 'me' })),
    denied: noAnnotation,
  },
  {
    name: 'a new annotation of others',
    write: update(withAnnotations({ 'node-firewall.io.example.org/a': 'b' })),
    denied: noAnnotation,
  },
  {
    name: 'takes off an annotation of others',
    write: update(withMetadata({ annotations: without(metadata.annotations, 'example.org/owner') })),
    denied: noAnnotation,
  },
  {
    name: 'takes off all annotations',
    write: update(withMetadata({ annotations: undefined })),
    denied: noAnnotation,
  },
  {
    name: 'a label',
    write: update(withMetadata({ labels: { ...metadata.labels, pool: 'db' } })),
    denied: noMetadata,
  },
  {
    name: 'a label with our prefix',
    write: update(withMetadata({ labels: { ...metadata.labels, 'node-firewall.io/a': 'b' } })),
    denied: noMetadata,
  },
  { name: 'takes off all labels', write: update(withMetadata({ labels: undefined })), denied: noMetadata },
  {
    name: 'a finalizer',
    write: update(withMetadata({ finalizers: ['node-firewall.io/held'] })),
    denied: noMetadata,
  },
  {
    name: 'an owner',
    write: update(
      withMetadata({ ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'worker-2', uid: 'a' }] }),
    ),
    denied: noMetadata,
  },
  { name: 'cordons', write: update(withSpec({ unschedulable: true })), denied: noSpec },
  { name: 'another provider id', write: update(withSpec({ providerID: 'a://2' })), denied: noSpec },
  { name: 'takes off the pod networks', write: update(withSpec({ podCIDRs: undefined })), denied: noSpec },
  {
    name: 'a taint of others',
    write: update(withSpec({ taints: [...spec.taints, { key: 'a', effect: 'NoExecute' }] })),
    denied: noTaint,
  },
  {
    name: 'takes off a taint of others',
    write: update(withSpec({ taints: [ours, cloud, oursToo] })),
    denied: noTaint,
  },
  { name: 'takes off all taints', write: update(withSpec({ taints: undefined })), denied: noTaint },
  {
    name: 'another effect for our taint',
    write: update(withSpec({ taints: [cordon, oursToo, cloud, oursToo] })),
    denied: noTaint,
  },
  {
    name: 'puts our taint on',
    write: update(withSpec({ taints: [ours] }), { before: withSpec({ taints: undefined }) }),
    denied: noTaint,
  },
  {
    name: 'another status',
    write: update({ ...node, status: { ...status, allocatable: { cpu: '64' } } }),
    denied: nothingElse,
  },
  {
    name: 'its status',
    write: update({ ...node, status: {} }, { subresource: 'status' }),
    denied: onlyPatch,
  },
  {
    name: 'makes its Node',
    write: update(node, { operation: 'CREATE', before: null }),
    denied: onlyPatch,
  },
  { name: 'deletes it', write: update(null, { operation: 'DELETE' }), denied: onlyPatch },
  {
    name: 'connects to its kubelet',
    write: update(null, { operation: 'CONNECT', subresource: 'proxy', before: null }),
    denied: onlyPatch,
  },

  { name: 'a token without a node', write: update(state, { identity: nowhere }), denied: noNode },
  {
    name: 'a token with other things to say',
    write: update(state, {
      identity: { ...nowhere, extra: { 'authentication.kubernetes.io/pod-name': ['a'] } },
    }),
    denied: noNode,
  },
  { name: 'an admin', write: update(withMetadata({ labels: {} }), { identity: admin }) },
  { name: 'an admin deletes', write: update(null, { identity: admin, operation: 'DELETE' }) },
  {
    name: 'another account',
    write: update(other, { identity: { ...admin, user: `${AGENT}-uninstall` }, name: 'worker-2' }),
  },
]
