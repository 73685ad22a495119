import { ENDPOINT_SLICES } from './resources.ts'
import type { Store } from './store.ts'

/** What the EndpointSlice controller does: it keeps the slices of Services. */
export type Slices = {
  /** Makes a slice, or changes the one of that name. */
  put(slice: SliceDraft): void
  remove(namespace: string, name: string): void
}

export type SliceDraft = {
  readonly namespace: string
  readonly name: string
  readonly service: string
  readonly addressType?: 'IPv4' | 'IPv6' | 'FQDN'
  readonly addresses: readonly string[]
  readonly port?: number
  /** The node of each address, and whether the pod on it is ready. */
  readonly nodes?: readonly { readonly name: string; readonly ready: boolean }[]
}

export function createSlices(store: Store): Slices {
  return {
    put(draft) {
      const { namespace, name, service } = draft
      const found = store.get(ENDPOINT_SLICES, namespace, name)
      const content = contentOf(draft)
      const labels = { 'kubernetes.io/service-name': service }
      if (found === undefined)
        store.create(ENDPOINT_SLICES, { metadata: { name, namespace, labels }, ...content })
      else store.replace(ENDPOINT_SLICES, { ...found, ...content })
    },
    remove(namespace, name) {
      const found = store.get(ENDPOINT_SLICES, namespace, name)
      if (found === undefined) throw new Error(`the test removes a slice that is not there: ${name}`)
      store.remove(ENDPOINT_SLICES, found)
    },
  }
}

/** Lists that are empty are null. */
function contentOf({ addressType = 'IPv4', addresses, port, nodes = [] }: SliceDraft) {
  const endpoints = addresses.map((address, index) => {
    const node = nodes[index]
    // The Service of the agents publishes all of them, so each is `ready`; only `serving` tells.
    const conditions = { ready: true, serving: node?.ready ?? true, terminating: false }
    return { addresses: [address], conditions, ...(node === undefined ? {} : { nodeName: node.name }) }
  })
  return {
    addressType,
    endpoints: endpoints.length === 0 ? null : endpoints,
    ports: port === undefined ? null : [{ name: 'https', protocol: 'TCP', port }],
  }
}
