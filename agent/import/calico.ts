import { isMap, isNode, LineCounter, parseAllDocuments } from 'yaml'
import type { Document } from 'yaml'
import { messageOf } from '../errors.ts'
import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { reservedSetNames } from '../ruleset/built-in-sets.ts'
import { readCalicoRule, readSetNets, setNameOf } from './calico-rule.ts'
import type { NetworkSet } from './calico-rule.ts'
import { firstIssue, hostEndpointSchema, networkSetSchema, policySchema, resource } from './calico-schema.ts'
import type { Policy } from './calico-schema.ts'
import { parseSelector, toNodeSelector } from './calico-selector.ts'
import { showNetwork } from './merge-families.ts'
import type { Note } from './note.ts'
import type { Source, SourceChain } from './source.ts'

type Way = 'ingress' | 'egress'
type Located = Policy & { readonly line: number; readonly lineOf: (way: Way, index: number) => number }

/** What is read of all documents, before policies are put in order. */
type Found = { policies: Located[]; sets: NetworkSet[]; interfaces: string[]; notes: Note[] }

const failsafePorts =
  'Calico keeps its failsafe ports of host endpoints open to all (TCP 22, 179, 2379, 2380, 5473, 6443, 6666, 6667, UDP 68); here a rule must accept them'

/**
 * Reads GlobalNetworkPolicies for host endpoints, with the GlobalNetworkSets and HostEndpoints beside them. They
 * become one chain for each way: policies before DNAT first, each kind by order, and the denial at the end.
 */
export function readCalico(text: string): Source {
  const found: Found = { policies: [], sets: [], interfaces: [], notes: [] }
  const counter = new LineCounter()
  try {
    for (const document of parse(text, counter)) readDocument(document, counter, found)
  } catch (error) {
    // The parser recurses, so brackets nested without end exhaust the stack.
    if (!(error instanceof RangeError)) throw error
    found.notes.push({ line: 0, kind: 'lost', message: `YAML: ${error.message}` })
  }
  const { sets, interfaces, notes } = found
  const policies = found.policies.toSorted(
    (a, b) =>
      stageOf(a) - stageOf(b) || orderOf(a) - orderOf(b) || (a.metadata.name < b.metadata.name ? -1 : 1),
  )
  notes.push(...policies.flatMap(notePolicy))
  const closing = policies.find((policy) => stageOf(policy) === 2 && typesOf(policy).includes('ingress'))
  if (closing !== undefined) notes.push({ line: closing.line, kind: 'changed', message: failsafePorts })
  const tables = families.map((family) => {
    const chains = (['ingress', 'egress'] as const).map(
      (way) => [way === 'ingress' ? 'INPUT' : 'OUTPUT', readWay(policies, way, family, sets)] as const,
    )
    return [family, new Map(chains)] as const
  })
  const nodeSelector = selectNodes(policies, notes)
  return {
    tables: new Map(tables),
    notes,
    externalOnly: true,
    beforeDnat: policies.some((policy) => stageOf(policy) === 1),
    sets: new Map(sets.map(({ name, nets }) => [name, nets.map(showNetwork)])),
    ...(interfaces.length === 0 ? {} : { external: [...new Set(interfaces)] }),
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
  }
}

function parse(text: string, lineCounter: LineCounter): Document.Parsed[] {
  const parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false, logLevel: 'silent' })
  return [...parsed].filter((document) => 'contents' in document)
}

function readDocument(document: Document.Parsed, counter: LineCounter, found: Found): void {
  const line = counter.linePos(document.contents?.range[0] ?? 0).line
  const lose = (message: string) => found.notes.push({ line, kind: 'lost', message })
  const [problem] = document.errors
  if (problem !== undefined) return void lose(`YAML: ${problem.message}`)
  const value = valueOf(document)
  if (value instanceof Error) return void lose(`YAML: ${value.message}`)
  if (value === null) return
  const head = resource.safeParse(value)
  if (!head.success) return void lose('no Kubernetes resource: kind or metadata.name is missing')
  const what = `${head.data.kind} ${head.data.metadata.name}`
  if (head.data.kind === 'GlobalNetworkPolicy') {
    const { data, error } = policySchema.safeParse(value)
    if (data === undefined) return void lose(`${what}: ${firstIssue(error)}`)
    const lineOf = (way: Way, index: number) =>
      lineOfNode(document.getIn(['spec', way, index], true), counter) ?? line
    found.policies.push({ ...data, line, lineOf })
  } else if (head.data.kind === 'GlobalNetworkSet') {
    const { data, error } = networkSetSchema.safeParse(value)
    if (data === undefined) return void lose(`${what}: ${firstIssue(error)}`)
    try {
      const plain = setNameOf(data.metadata.name)
      const name = reservedSetNames.has(plain) ? `calico-${plain}`.slice(0, 40) : plain
      found.sets.push({ name, labels: data.metadata.labels ?? {}, nets: readSetNets(data.spec.nets) })
    } catch (thrown) {
      lose(`${what}: ${messageOf(thrown)}`)
    }
  } else if (head.data.kind === 'HostEndpoint') {
    const name = hostEndpointSchema.safeParse(value).data?.spec.interfaceName
    if (name !== undefined && name !== '*') found.interfaces.push(name)
    found.notes.push({ line, kind: 'covered', message: `${what}: interfaces.external stands for it` })
  } else lose(`${what} is about no host endpoint`)
}

/** The value of a document; an error for aliases of nothing, and for those that would make it endless. */
function valueOf(document: Document.Parsed): unknown {
  try {
    return document.toJS()
  } catch (error) {
    return new Error(messageOf(error), { cause: error })
  }
}

function lineOfNode(node: unknown, counter: LineCounter): number | undefined {
  const first = isMap(node) ? node.items[0]?.key : node
  return isNode(first) ? counter.linePos(first.range?.[0] ?? 0).line : undefined
}

/** Untracked policies see a packet first, then those before DNAT, then all others. */
function stageOf({ spec }: Policy): 0 | 1 | 2 {
  if (spec.doNotTrack === true) return 0
  return spec.preDNAT === true ? 1 : 2
}

function orderOf({ spec }: Policy): number {
  return spec.order ?? Number.MAX_VALUE
}

function typesOf({ spec }: Policy): Way[] {
  if (spec.types !== undefined) return spec.types.map((type) => (type === 'Ingress' ? 'ingress' : 'egress'))
  return [
    ...(spec.ingress !== undefined || spec.egress === undefined ? ['ingress' as const] : []),
    ...(spec.egress === undefined ? [] : ['egress' as const]),
  ]
}

function readWay(
  policies: readonly Located[],
  way: Way,
  family: Family,
  sets: readonly NetworkSet[],
): SourceChain {
  const own = policies.filter((policy) => typesOf(policy).includes(way))
  const rules = own.flatMap((policy) =>
    (policy.spec[way] ?? []).flatMap((raw, index) => {
      const text = `${way} rule ${index + 1} of ${policy.metadata.name}`
      const rule = readCalicoRule(raw, { family, line: policy.lineOf(way, index), text, sets })
      return rule === undefined ? [] : [{ remark: policy.metadata.name, ...rule }]
    }),
  )
  // Where no policy selects a way it is open; where one does, the end of its tier denies.
  const last = own.findLast((policy) => stageOf(policy) === 2)
  return { line: last?.line ?? 0, policy: last === undefined ? 'accept' : 'drop', rules }
}

function notePolicy(policy: Located): Note[] {
  const { spec, line, metadata } = policy
  const note = (kind: Note['kind'], message: string): Note => ({
    line,
    kind,
    message: `policy ${metadata.name}: ${message}`,
  })
  return [
    ...(spec.doNotTrack === true
      ? [note('changed', 'doNotTrack: its rules hold for new connections here, not for every packet')]
      : []),
    ...(spec.applyOnForward === true && stageOf(policy) === 2
      ? [
          note(
            'lost',
            'applyOnForward: what is routed is left alone; rules hold for what is addressed to the node',
          ),
        ]
      : []),
    ...(spec.tier === undefined || spec.tier === 'default'
      ? []
      : [note('lost', `tier ${spec.tier}: all policies are read as one tier`)]),
    ...(spec.namespaceSelector === undefined && spec.serviceAccountSelector === undefined
      ? []
      : [
          note(
            'lost',
            'it selects pods by namespace or service account; its rules are read as those of the node',
          ),
        ]),
  ]
}

/** The nodes that all policies select, if they agree; labels of automatic host endpoints are those of their Nodes. */
function selectNodes(policies: readonly Located[], notes: Note[]): object | undefined {
  const [first] = policies
  const selectors = new Set(policies.map(({ spec }) => spec.selector?.trim() ?? ''))
  const terms = selectors.size === 1 ? parseSelector(first?.spec.selector ?? '') : undefined
  if (first === undefined) return undefined
  if (terms === undefined) {
    for (const { line, metadata, spec } of policies.filter(
      (policy) => parseSelector(policy.spec.selector ?? '')?.length !== 0,
    )) {
      const message = `policy ${metadata.name}: its selector "${spec.selector}": a ruleset has one nodeSelector for all of its rules; set it by hand`
      notes.push({ line, kind: 'lost', message })
    }
    return undefined
  }
  // Every automatic host endpoint of a cluster has this label.
  const own = terms.filter((term) => !(term.kind === 'has' && term.key === 'kubernetes-host'))
  if (own.length === 0) return undefined
  const message = `selector "${first.spec.selector}": labels of host endpoints are taken for labels of Nodes, as automatic host endpoints have them`
  notes.push({ line: first.line, kind: 'advice', message })
  return toNodeSelector(own)
}
