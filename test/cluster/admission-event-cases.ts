import { agentOn } from './api-server/agent-identity.ts'
import type { Write } from './api-server/admission.ts'
import { EVENTS } from './api-server/resources.ts'
import { NODE, admin, noNode, nowhere } from './admission-case.ts'
import type { Case, Fields } from './admission-case.ts'

const event = {
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: `${NODE}.1`, namespace: 'default' },
  involvedObject: { apiVersion: 'v1', kind: 'Node', name: NODE, uid: NODE },
  type: 'Warning',
  reason: 'RolledBack',
  message: 'the kubelet was not reached',
  source: { component: 'node-firewall', host: NODE },
  reportingComponent: 'node-firewall',
  reportingInstance: 'node-firewall-7gv9h',
  count: 1,
}
const about = (involvedObject: Fields) => ({ ...event, involvedObject })
const tell = (object: unknown, more: Partial<Write> = {}): Write => ({
  identity: agentOn(NODE),
  operation: 'CREATE',
  resource: EVENTS,
  namespace: 'default',
  name: event.metadata.name,
  object,
  before: null,
  ...more,
})
const raise = (before: Fields, change: Fields) =>
  tell({ ...before, ...change }, { operation: 'UPDATE', before })

const ownOnly = `an agent on node "${NODE}" may tell of that Node, as node-firewall, and of nothing else`

export const eventCases: readonly Case[] = [
  { name: 'of its Node', write: tell(event) },
  { name: 'once more', write: raise(event, { count: 2 }) },
  {
    name: 'of another Node',
    write: tell(about({ ...event.involvedObject, name: 'worker-2' })),
    denied: ownOnly,
  },
  { name: 'of a Pod', write: tell(about({ ...event.involvedObject, kind: 'Pod' })), denied: ownOnly },
  { name: 'of nothing', write: tell(about({})), denied: ownOnly },
  {
    name: 'in the name of others',
    write: tell({ ...event, reportingComponent: 'kubelet' }),
    denied: ownOnly,
  },
  {
    name: 'an event of others',
    write: raise({ ...event, reportingComponent: 'kubelet' }, { count: 2 }),
    denied: ownOnly,
  },
  {
    name: 'makes one of others its own',
    write: raise({ ...event, reportingComponent: 'kubelet' }, { reportingComponent: 'node-firewall' }),
    denied: ownOnly,
  },
  {
    name: 'turns one to another Node',
    write: raise(event, { involvedObject: { ...event.involvedObject, name: 'worker-2' } }),
    denied: ownOnly,
  },
  {
    name: 'deletes one',
    write: tell(null, { operation: 'DELETE', before: event }),
    denied: 'an agent may make and patch events, and not delete them',
  },
  { name: 'a token without a node', write: tell(event, { identity: nowhere }), denied: noNode },
  { name: 'an admin', write: tell(about({ kind: 'Pod', name: 'a' }), { identity: admin }) },
]
