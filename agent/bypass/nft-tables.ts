import * as z from 'zod'
import { OutsideError } from '../errors.ts'

export type NftTable = {
  readonly family: string
  readonly name: string
  /** Base chains only. */
  readonly chains: readonly BaseChainSeen[]
  readonly flowtables: readonly string[]
  /** What its rules do, where they were read. */
  readonly verdicts: ReadonlySet<Verdict>
}

export type BaseChainSeen = {
  readonly name: string
  readonly type: string
  readonly hook: string
  readonly priority: number
  readonly policy: string
}

/** Statements that decide what our rules, or conntrack, get to see of a packet. */
const verdicts = ['drop', 'reject', 'queue', 'notrack', 'fwd'] as const
export type Verdict = (typeof verdicts)[number]

/** nft(8) did not answer in the JSON of libnftables-json(5). */
export class UnreadableNftError extends OutsideError {
  override readonly name = 'UnreadableNftError'
}

/**
 * Reads what `nft --json 'list chains; list flowtables'` printed, one document a line: the tables that have a base
 * chain or a flowtable.
 *
 * @throws {UnreadableNftError} when that is no such JSON
 */
export function parseNftTables(json: string): readonly NftTable[] {
  const tables = new Map<string, NftTable>()
  const update = ({ family, table: name }: Located, change: (table: NftTable) => Partial<NftTable>) => {
    const table = tables.get(`${family} ${name}`) ?? { ...empty, family, name }
    tables.set(`${family} ${name}`, { ...table, ...change(table) })
  }
  for (const { chain, flowtable } of documentsOf(json).flatMap(parse)) {
    const base = chain === undefined ? undefined : baseChain(chain)
    if (chain !== undefined && base !== undefined) {
      update(chain, ({ chains }) => ({ chains: [...chains, base] }))
    }
    if (flowtable !== undefined) {
      update(flowtable, ({ flowtables }) => ({ flowtables: [...flowtables, flowtable.name] }))
    }
  }
  return [...tables.values()]
}

/**
 * Adds what their rules do to tables, from the answers to one `list table` for each of them. An answer can be of any
 * size, so it is searched, not parsed: in JSON no quoted text looks like a key.
 *
 * @throws {UnreadableNftError} when there are not as many answers as tables
 */
export function addVerdicts(tables: readonly NftTable[], json: string): NftTable[] {
  const documents = documentsOf(json)
  if (documents.length !== tables.length) {
    throw new UnreadableNftError(
      `running nft: it gave ${documents.length} answers to ${tables.length} questions`,
    )
  }
  return tables.map((table, at) => ({ ...table, verdicts: findVerdicts(documents[at] ?? '') }))
}

function findVerdicts(document: string): Set<Verdict> {
  const found = verdicts.filter((verdict) => new RegExp(`"${verdict}": ?(null|\\{)`).test(document))
  // What a named map leads to is not printed with --terse.
  return new Set(/"map": ?"verdict"/.test(document) ? [...found, 'drop' as const] : found)
}

function documentsOf(json: string): string[] {
  return json.split('\n').filter((line) => line.trim() !== '')
}

const empty: Omit<NftTable, 'family' | 'name'> = { chains: [], flowtables: [], verdicts: new Set() }

type Located = { readonly family: string; readonly table: string }

const located = { family: z.string(), table: z.string() }
const answer = z.object({ nftables: z.array(z.unknown()) })
const ruleset = z.array(
  z.object({
    chain: z
      .object({
        ...located,
        name: z.string(),
        type: z.string().optional(),
        hook: z.string().optional(),
        prio: z.number().optional(),
        policy: z.string().optional(),
      })
      .optional(),
    flowtable: z.object({ ...located, name: z.string() }).optional(),
  }),
)

type Answered = z.infer<typeof ruleset>[number]

function parse(document: string): Answered[] {
  try {
    return ruleset.parse(answer.parse(JSON.parse(document)).nftables.filter(isOfInterest))
  } catch (error) {
    throw new UnreadableNftError('running nft: its answer is not the JSON it should be', { cause: error })
  }
}

/** kube-proxy has a few chains without a hook for each Service: to look closely at all of them takes a second. */
function isOfInterest(object: unknown): boolean {
  if (typeof object !== 'object' || object === null) return true
  if (!('chain' in object)) return true
  const { chain } = object
  return typeof chain !== 'object' || chain === null || 'hook' in chain
}

/** A chain without a hook is jumped to only. Ingress chains without a policy accept. */
function baseChain(chain: NonNullable<Answered['chain']>): BaseChainSeen | undefined {
  const { name, type, hook, prio = 0, policy = 'accept' } = chain
  return type === undefined || hook === undefined ? undefined : { name, type, hook, priority: prio, policy }
}
