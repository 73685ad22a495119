import { BINDINGS, POLICIES } from './admission-resources.ts'
import { UNINSTALL_RESOURCES } from './uninstall-resources.ts'

/** A kind of object that the server keeps. */
export type Resource = {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  /** What of an object its generation counts the changes of, in the resources that have one. */
  readonly counted?: (object: Readonly<Record<string, unknown>>, labels: unknown) => unknown
  /** The required fields, as a bookmark shows them: with nothing in them. */
  readonly zero: Readonly<Record<string, unknown>>
}

/** Where a path leads to: `/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE`. */
export type Target = {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: string | undefined
}

export function parseTarget(path: string): Target | undefined {
  const match = TARGET.exec(path)?.groups
  if (match === undefined) return undefined
  const { group, version, namespace, plural, name, subresource } = match
  if (version === undefined || plural === undefined) return undefined
  return {
    group: group ?? '',
    version,
    plural,
    namespace: decode(namespace),
    name: decode(name),
    subresource,
  }
}

const TARGET = new RegExp(
  '^/(?:api|apis/(?<group>[^/]+))/(?<version>v[0-9a-z]+)' +
    '(?:/namespaces/(?<namespace>[^/]+))?/(?<plural>[^/]+)(?:/(?<name>[^/]+))?(?:/(?<subresource>.+))?$',
)

function decode(part: string | undefined): string | undefined {
  return part === undefined ? undefined : decodeURIComponent(part)
}

/** `endpointslices.discovery.k8s.io`, `nodes`: the name that messages and RBAC use. */
export function qualifiedName({ group, plural }: { group: string; plural: string }): string {
  return group === '' ? plural : `${plural}.${group}`
}

export function apiVersion({ group, version }: { group: string; version: string }): string {
  return group === '' ? version : `${group}/${version}`
}

export function findResource(target: Target): Resource | undefined {
  return RESOURCES.find((resource) => sameGroup(resource, target) && resource.plural === target.plural)
}

export function hasGroup(target: Target): boolean {
  return RESOURCES.some((resource) => sameGroup(resource, target))
}

function sameGroup(resource: Resource, target: Target): boolean {
  return resource.group === target.group && resource.version === target.version
}

export const NODES: Resource = {
  group: '',
  version: 'v1',
  plural: 'nodes',
  kind: 'Node',
  namespaced: false,
  zero: {
    spec: {},
    status: {
      daemonEndpoints: { kubeletEndpoint: { Port: 0 } },
      nodeInfo: {
        machineID: '',
        systemUUID: '',
        bootID: '',
        kernelVersion: '',
        osImage: '',
        containerRuntimeVersion: '',
        kubeletVersion: '',
        kubeProxyVersion: '',
        operatingSystem: '',
        architecture: '',
      },
    },
  },
}

const CORE = { group: '', version: 'v1', namespaced: true }

export const ENDPOINT_SLICES: Resource = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
  counted: ({ endpoints, ports }, labels) => [endpoints, ports, labels],
  zero: { addressType: '', endpoints: null, ports: null },
}

export const CONFIG_MAPS: Resource = { ...CORE, plural: 'configmaps', kind: 'ConfigMap', zero: {} }

export const LEASES: Resource = {
  ...CORE,
  group: 'coordination.k8s.io',
  plural: 'leases',
  kind: 'Lease',
  zero: { spec: {} },
}

export const PODS: Resource = {
  ...CORE,
  plural: 'pods',
  kind: 'Pod',
  zero: { spec: { containers: null }, status: {} },
}

export const SERVICES: Resource = {
  ...CORE,
  plural: 'services',
  kind: 'Service',
  zero: { spec: {}, status: { loadBalancer: {} } },
}

export const EVENTS: Resource = {
  ...CORE,
  plural: 'events',
  kind: 'Event',
  zero: { involvedObject: {}, source: {}, firstTimestamp: null, lastTimestamp: null, eventTime: null },
}

const RESOURCES: readonly Resource[] = [
  NODES,
  ...UNINSTALL_RESOURCES,
  POLICIES,
  BINDINGS,
  CONFIG_MAPS,
  ENDPOINT_SLICES,
  LEASES,
  PODS,
  SERVICES,
  EVENTS,
]
