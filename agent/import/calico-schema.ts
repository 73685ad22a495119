import * as z from 'zod'

/*
 * The parts of projectcalico.org/v3 that firewalls of hosts use (docs.tigera.io, reference/resources). Keys beside
 * them are kept, so that a rule that has any can be named.
 */

const text = z.string()
const number = z.union([z.number(), z.string()])
const octet = z.int().min(0).max(255).optional()

/** An empty list asks for nothing: Calico's API drops it (`omitempty`), as if it had not been written. */
function list<T extends z.ZodType>(of: T) {
  return z
    .array(of)
    .transform((members) => (members.length === 0 ? undefined : members))
    .optional()
}

const entity = z
  .strictObject({
    nets: list(text),
    notNets: list(text),
    ports: list(number),
    notPorts: list(number),
    selector: text.optional(),
  })
  .optional()

export const calicoRule = z.strictObject({
  action: z.enum(['Allow', 'Deny', 'Log', 'Pass']),
  metadata: z.looseObject({ annotations: z.record(text, text).optional() }).optional(),
  ipVersion: z.union([z.literal(4), z.literal(6)]).optional(),
  protocol: number.optional(),
  icmp: z.strictObject({ type: octet, code: octet }).optional(),
  source: entity,
  destination: entity,
})
export type CalicoRule = z.infer<typeof calicoRule>

export const resource = z.looseObject({
  kind: text,
  metadata: z.looseObject({ name: text, labels: z.record(text, text).optional() }),
})

export const policySchema = resource.extend({
  spec: z.looseObject({
    order: z.number().nullish(),
    tier: text.optional(),
    selector: text.optional(),
    types: z.array(z.enum(['Ingress', 'Egress'])).optional(),
    preDNAT: z.boolean().optional(),
    doNotTrack: z.boolean().optional(),
    applyOnForward: z.boolean().optional(),
    namespaceSelector: text.optional(),
    serviceAccountSelector: text.optional(),
    ingress: z.array(z.unknown()).optional(),
    egress: z.array(z.unknown()).optional(),
  }),
})
export type Policy = z.infer<typeof policySchema>

export const networkSetSchema = resource.extend({ spec: z.looseObject({ nets: z.array(text).default([]) }) })

export const hostEndpointSchema = resource.extend({ spec: z.looseObject({ interfaceName: text.optional() }) })

/** The first thing that is wrong, with where it stands. */
export function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues
  return issue === undefined ? 'it is of unknown form' : `${issue.path.join('.') || 'it'}: ${issue.message}`
}
