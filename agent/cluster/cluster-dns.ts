import * as z from 'zod'
import { connectClient } from './api-client.ts'
import type { ApiClient } from './api-client.ts'
import { ApiError } from './api-error.ts'
import type { OwnNodeOptions } from './own-node.ts'
import type { ApiRequest } from './send.ts'
import { parse } from './wire.ts'

/** The addresses of the cluster's DNS, or undefined where it has no such Service. Rejects with an ApiError. */
export type FindClusterDns = (signal?: AbortSignal) => Promise<readonly string[] | undefined>

/** Asks until there is an answer with addresses, and never again: pods are told these addresses when they start. */
export function createClusterDns(options: Omit<OwnNodeOptions, 'nodeName'>): FindClusterDns {
  const client = connectClient(options)
  let known: readonly string[] | undefined
  return async (signal) => {
    known ??= await readClusterDns(client, signal)
    return known
  }
}

/**
 * One look at the Service `kube-dns` in `kube-system`: CoreDNS, too, is installed under this name, by kubeadm and most
 * distributions. The first address is of the Service's main family.
 */
export async function readClusterDns(
  client: ApiClient,
  signal?: AbortSignal,
): Promise<readonly string[] | undefined> {
  try {
    const { spec } = parse(serviceBody, await client.json(request, signal), request)
    const addresses = (spec.clusterIPs ?? []).filter((address) => address !== 'None' && address !== '')
    return addresses.length === 0 ? undefined : addresses
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined
    throw error
  }
}

const request: ApiRequest = { method: 'GET', path: '/api/v1/namespaces/kube-system/services/kube-dns' }

const serviceBody = z.object({ spec: z.object({ clusterIPs: z.array(z.string()).nullish() }) })
