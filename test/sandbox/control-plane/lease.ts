import { Agent, request } from 'node:https'

/** Where the API server is, and what it wants to see. */
export type LeaseAccess = { readonly server: string; readonly ca: Buffer; readonly token: string }

/** What has become of attempts to renew the Lease. */
export type LeaseCounts = {
  renewed: number
  failed: number
  /** Why the latest one that failed did. */
  failure?: string
}

export type LeaseOptions = {
  readonly access: LeaseAccess
  readonly node: string
  /** 10 s in a real cluster. */
  readonly everyMs: number
}

/**
 * Renews the Lease of a Node as the kubelet does: over a connection that stands, for as long as it carries answers.
 * A request may take as long as the time between two; when one fails, the next goes over a new connection (the kubelet
 * closes its connections when a renewal fails twice, `onRepeatedHeartbeatFailure`).
 */
export function renewLease({ access, node, everyMs }: LeaseOptions) {
  const counts: LeaseCounts = { renewed: 0, failed: 0 }
  let { server, ca, token } = access
  let paused = false
  let agent = new Agent({ keepAlive: true, maxSockets: 1, ca })
  // It is renewed four times while it is good.
  const leaseDurationSeconds = Math.max(1, Math.round((4 * everyMs) / 1000))
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'

  const send = async (method: 'PATCH' | 'POST', path: string, body: object) =>
    new Promise<number>((resolve, reject) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const headers = { authorization: `Bearer ${token}`, 'content-type': type }
      const signal = AbortSignal.timeout(everyMs)
      const outgoing = request(new URL(path, server), { agent, method, headers, signal }, (answer) => {
        answer.resume()
        answer.on('end', () => resolve(answer.statusCode ?? 0))
        answer.on('error', reject)
      })
      outgoing.on('error', reject)
      outgoing.end(JSON.stringify(body))
    })

  const renew = async () => {
    const spec = { holderIdentity: node, leaseDurationSeconds, renewTime: microTime(new Date()) }
    const status = await send('PATCH', `${leases}/${node}`, { spec })
    if (status === 404) return send('POST', leases, { metadata: { name: node }, spec })
    return status
  }

  const attempt = async () => {
    if (!paused) await renewOnce()
    setTimeout(() => void attempt(), everyMs)
  }
  const renewOnce = async () => {
    const failure = await renew().then(
      (status) => (status < 300 ? undefined : `status ${status}`),
      (error: unknown) => String(error),
    )
    if (failure === undefined) counts.renewed += 1
    else {
      counts.failed += 1
      counts.failure = failure
      agent.destroy()
    }
  }
  void attempt()
  return {
    counts,
    pause(wanted: boolean) {
      paused = wanted
    },
    /** From now on the API server is found there. */
    turnTo(other: LeaseAccess) {
      agent.destroy()
      ;({ server, ca, token } = other)
      agent = new Agent({ keepAlive: true, maxSockets: 1, ca })
    },
  }
}

/** RFC 3339 with microseconds, as the API has it for Leases. */
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
