import * as z from 'zod'
import { parseCidr } from '../ruleset/address.ts'
import type { Cidr } from '../ruleset/address.ts'
import type { ApiRequest } from './send.ts'
import { parse } from './wire.ts'

/** A part of a Service's endpoints: up to 100 of one family. `addresses` are those of all, ready or not. */
export type EndpointSlice = {
  readonly name: string
  readonly version: string
  readonly addresses: readonly Cidr[]
  readonly ports: readonly number[]
  /** The nodes that endpoints are on. */
  readonly nodes: readonly EndpointNode[]
}

/** `serving`: its pod is ready, whatever the Service publishes (`publishNotReadyAddresses` makes all of them `ready`). */
export type EndpointNode = { readonly name: string; readonly serving: boolean }

/** The slices of one Service, as a LIST, WATCH or GET finds them. */
export type SlicesOf = { readonly namespace: string; readonly serviceName: string }

/** Reads an EndpointSlice, whatever its family. */
export function parseSlice(value: unknown, request: ApiRequest): EndpointSlice {
  const { metadata, endpoints, ports } = parse(sliceBody, value, request)
  return {
    name: metadata.name,
    version: metadata.resourceVersion,
    addresses: readCidrs((endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? [])),
    ports: (ports ?? []).flatMap(({ port }) => port ?? []),
    nodes: (endpoints ?? []).flatMap(({ nodeName, conditions }) =>
      nodeName ? [{ name: nodeName, serving: conditions?.serving ?? conditions?.ready ?? true }] : [],
    ),
  }
}

/**
 * Reads addresses and CIDRs that the cluster holds. A slice of the type FQDN has names, which no packet carries, and
 * old objects may have forms that nobody would accept today, as `010.0.0.1`. Such a one is left out, since all the
 * others are worth more than an error. So is a network that holds every address: no kernel set can hold that, and it
 * says nothing of who belongs to the cluster.
 */
export function readCidrs(texts: readonly string[]): Cidr[] {
  return texts.flatMap((text) => {
    try {
      const cidr = parseCidr(text)
      return cidr.prefix > 0 ? [cidr] : []
    } catch {
      return []
    }
  })
}

export function slicesPath({ namespace }: Pick<SlicesOf, 'namespace'>): string {
  return `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices`
}

export function slicesQuery({ serviceName }: SlicesOf) {
  return { labelSelector: `kubernetes.io/service-name=${serviceName}` }
}

/** In an empty slice the lists are null. */
const sliceBody = z.object({
  metadata: z.object({ name: z.string(), resourceVersion: z.string() }),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()).nullish(),
        nodeName: z.string().nullish(),
        conditions: z.object({ ready: z.boolean().nullish(), serving: z.boolean().nullish() }).nullish(),
      }),
    )
    .nullish(),
  ports: z.array(z.object({ port: z.number().nullish() })).nullish(),
})
