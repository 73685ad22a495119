import type { CelInput } from '@bufbuild/cel'
import { z } from 'zod'
import type { Identity } from './access-control.ts'
import { BINDINGS, POLICIES } from './admission-resources.ts'
import { evaluate, toCel } from './cel.ts'
import { qualifiedName } from './resources.ts'
import type { Resource } from './resources.ts'
import { Refusal, failure } from './statuses.ts'
import type { Store } from './store.ts'

/** A write that may be refused; `object` is null for DELETE, `before` for CREATE. */
export type Write = {
  readonly identity: Identity
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  readonly resource: Resource
  readonly subresource?: string
  readonly namespace: string | undefined
  readonly name: string
  readonly object: unknown
  readonly before: unknown
}

/**
 * Asks the ValidatingAdmissionPolicies that the server keeps, each as often as it is bound. The first rule that does not
 * hold, or whose expression fails, is told. Of matching it knows rules for resources and conditions; parameters,
 * selectors and audit annotations are errors here.
 *
 * @throws {Refusal} 422 unless the rule gives another reason
 */
export function admit(store: Store, write: Write): void {
  const bindings = store.list(BINDINGS, undefined).map((binding) => bindingShape.parse(binding))
  for (const stored of store.list(POLICIES, undefined)) {
    const { metadata, spec } = policyShape.parse(stored)
    const bound = bindings.filter((binding) => binding.spec.policyName === metadata.name)
    if (bound.length === 0 || !matches(spec.matchConstraints.resourceRules, write)) continue
    const denial = judge(spec, write)
    const [binding] = bound
    if (denial !== undefined && binding !== undefined)
      throw refusal(write, { ...denial, policy: metadata.name, binding: binding.metadata.name })
  }
}

type Denial = { readonly message: string; readonly reason: string }

function judge(spec: z.infer<typeof policySpec>, write: Write): Denial | undefined {
  const names = namesFor(write)
  if (!spec.matchConditions.every(({ expression }) => evaluate(expression, names) === true)) return undefined
  const variables = new Map<string, CelInput>()
  for (const { name, expression } of spec.variables) {
    try {
      variables.set(name, evaluate(expression, { ...names, variables }))
    } catch {
      // Whoever asks for it gets the error that it is not there; a real server works it out only then.
    }
  }
  const known = { ...names, variables }
  for (const { expression, message, messageExpression, reason } of spec.validations) {
    try {
      if (evaluate(expression, known) === true) continue
    } catch (error) {
      return { message: `expression '${expression}' resulted in error: ${String(error)}`, reason: 'Invalid' }
    }
    const said = messageExpression === undefined ? message : evaluate(messageExpression, known)
    return { message: typeof said === 'string' ? said : `failed expression: ${expression}`, reason }
  }
  return undefined
}

function namesFor({ identity, operation, resource, subresource, namespace, name, object, before }: Write) {
  const { group, version, kind, plural } = resource
  const { user: username, extra } = identity
  const request = {
    kind: { group, version, kind },
    resource: { group, version, resource: plural },
    ...(subresource === undefined ? {} : { subResource: subresource }),
    ...(name === '' ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    operation,
    userInfo: { username, ...(extra === undefined ? {} : { extra }) },
  }
  return { request: toCel(request), object: toCel(object), oldObject: toCel(before) }
}

type ResourceRule = z.infer<typeof resourceRule>

function matches(rules: readonly ResourceRule[], { operation, resource, subresource }: Write): boolean {
  const { group, version, plural } = resource
  const asked = subresource === undefined ? [plural] : [`${plural}/${subresource}`, `${plural}/*`, '*/*']
  return rules.some(
    ({ apiGroups, apiVersions, operations, resources }) =>
      hasAny(apiGroups, ['*', group]) &&
      hasAny(apiVersions, ['*', version]) &&
      hasAny(operations, ['*', operation]) &&
      hasAny(resources, subresource === undefined ? ['*', '*/*', ...asked] : asked),
  )
}

function hasAny(list: readonly string[], wanted: readonly string[]): boolean {
  return wanted.some((each) => list.includes(each))
}

function refusal(
  { resource, name }: Write,
  { policy, binding, message, reason }: Denial & { readonly policy: string; readonly binding: string },
): Refusal {
  const why = `ValidatingAdmissionPolicy '${policy}' with binding '${binding}' denied request: ${message}`
  const { group, plural: kind } = resource
  const details = { name, ...(group === '' ? {} : { group }), kind, causes: [{ message: why }] }
  const code = reason === 'Forbidden' ? 403 : 422
  return new Refusal(
    failure(code, reason, `${qualifiedName(resource)} "${name}" is forbidden: ${why}`, details),
  )
}

const texts = z.array(z.string())
const named = z.looseObject({ name: z.string() })
const namedExpression = z.strictObject({ name: z.string(), expression: z.string() })
const resourceRule = z.strictObject({
  apiGroups: texts,
  apiVersions: texts,
  operations: texts,
  resources: texts,
})

const policySpec = z.strictObject({
  failurePolicy: z.literal('Fail'),
  matchConstraints: z.strictObject({ resourceRules: z.array(resourceRule) }),
  matchConditions: z.array(namedExpression).default([]),
  variables: z.array(namedExpression).default([]),
  validations: z.array(
    z.strictObject({
      expression: z.string(),
      message: z.string().optional(),
      messageExpression: z.string().optional(),
      reason: z.enum(['Invalid', 'Forbidden']).default('Invalid'),
    }),
  ),
})
const policyShape = z.looseObject({ metadata: named, spec: policySpec })

const bindingShape = z.looseObject({
  metadata: named,
  spec: z.strictObject({ policyName: z.string(), validationActions: z.tuple([z.literal('Deny')]) }),
})
