import { qualifiedName } from './resources.ts'
import type { Target } from './resources.ts'
import { Refusal, failure } from './statuses.ts'

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'patch' | 'delete'

/** One rule of a Role; without a namespace, of a ClusterRole. `*` stands for everything. */
export type Rule = {
  readonly verbs: readonly (Verb | '*')[]
  /** `nodes`, `pods/log`, `endpointslices.discovery.k8s.io` */
  readonly resources: readonly string[]
  readonly namespace?: string
  readonly names?: readonly string[]
}

export type Identity = {
  readonly user: string
  readonly rules: readonly Rule[]
  /** What else the token says. */
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export type Attempt = { readonly verb: Verb; readonly target: Target; readonly name: string | undefined }

/** Who asks: 401 for a token that the server does not know, and no word on why. */
export function authenticate(
  tokens: ReadonlyMap<string, Identity>,
  authorization: string | undefined,
): Identity {
  if (authorization === undefined) return { user: 'system:anonymous', rules: [] }
  const identity = tokens.get(authorization.replace(/^Bearer /, ''))
  if (identity === undefined) throw new Refusal(failure(401, 'Unauthorized', 'Unauthorized'))
  return identity
}

/** May they: 403 if not, whether the object exists or not. */
export function authorize(identity: Identity, attempt: Attempt): void {
  if (identity.rules.some((rule) => allows(rule, attempt))) return
  const { verb, target, name } = attempt
  const resource = qualifiedName(target)
  const where =
    target.namespace === undefined ? 'at the cluster scope' : `in the namespace "${target.namespace}"`
  const message =
    `${resource}${name === undefined ? '' : ` "${name}"`} is forbidden: User "${identity.user}" ` +
    `cannot ${verb} resource "${withSubresource(target.plural, target)}" in API group "${target.group}" ${where}`
  const details = {
    ...(name === undefined ? {} : { name }),
    ...(target.group === '' ? {} : { group: target.group }),
    kind: target.plural,
  }
  throw new Refusal(failure(403, 'Forbidden', message, details), { 'X-Content-Type-Options': 'nosniff' })
}

function allows(rule: Rule, { verb, target, name }: Attempt): boolean {
  return (
    has(rule.verbs, verb) &&
    has(rule.resources, withSubresource(qualifiedName(target), target)) &&
    (rule.namespace === undefined || rule.namespace === target.namespace) &&
    // A list or watch has a name if, and only if, a fieldSelector gives it one.
    (rule.names === undefined || (name !== undefined && rule.names.includes(name)))
  )
}

/** A subresource is a resource of its own. */
function withSubresource(resource: string, { subresource }: Target): string {
  return subresource === undefined ? resource : `${resource}/${subresource}`
}

function has(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value)
}
