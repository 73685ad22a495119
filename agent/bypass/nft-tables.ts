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
 * chain or a flowtable. The answer to each `list table` may follow, and tells what its rules do.
 *
 * @throws {UnreadableNftError} when that is no such JSON
 */
export function parseNftTables(json: string): readonly NftTable[] {
  const tables = new Map<string, NftTable>()
  const update = (at: Located, change: (table: NftTable) => Partial<NftTable>) => {
    const key = `${at.family} ${at.table}`
    const table = tables.get(key) ?? { ...empty, family: at.family, name: at.table }
    tables.set(key, { ...table, ...change(table) })
  }
  for (const object of readObjects(json)) {
    if (object.chain !== undefined) {
      const base = baseChain(object.chain)
      if (base !== undefined) {
        update(object.chain, ({ chains }) => ({
          chains: [...chains.filter(({ name }) => name !== base.name), base],
        }))
      }
    }
    if (object.flowtable !== undefined) {
      const { name } = object.flowtable
      update(object.flowtable, ({ flowtables }) => ({ flowtables: [...new Set([...flowtables, name])] }))
    }
    if (object.rule !== undefined) {
      const found = findVerdicts(object.rule.expr)
      update(object.rule, (table) => ({ verdicts: new Set([...table.verdicts, ...found]) }))
    }
    // A map can hold verdicts too: "type inet_service : verdict".
    if (object.map?.elem !== undefined) {
      const found = findVerdicts(object.map.elem)
      update(object.map, (table) => ({ verdicts: new Set([...table.verdicts, ...found]) }))
    }
  }
  return [...tables.values()].filter(({ chains, flowtables }) => chains.length > 0 || flowtables.length > 0)
}

const empty: Omit<NftTable, 'family' | 'name'> = { chains: [], flowtables: [], verdicts: new Set() }

type Located = { readonly family: string; readonly table: string }

const located = { family: z.string(), table: z.string() }
const answer = z.object({
  nftables: z.array(
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
      rule: z.object({ ...located, expr: z.unknown() }).optional(),
      map: z.object({ ...located, elem: z.unknown().optional() }).optional(),
    }),
  ),
})

type Answered = z.infer<typeof answer>['nftables'][number]

function readObjects(json: string): Answered[] {
  const lines = json.split('\n').filter((line) => line.trim() !== '')
  try {
    return lines.flatMap((line) => answer.parse(JSON.parse(line)).nftables)
  } catch (error) {
    throw new UnreadableNftError('running nft: its answer is not the JSON it should be', { cause: error })
  }
}

/** A chain without a hook is jumped to only. Ingress chains without a policy accept. */
function baseChain(chain: NonNullable<Answered['chain']>): BaseChainSeen | undefined {
  const { name, type, hook, prio = 0, policy = 'accept' } = chain
  return type === undefined || hook === undefined ? undefined : { name, type, hook, priority: prio, policy }
}

/** Statements are the keys of objects, at any depth: a verdict map holds them as values of pairs. */
function findVerdicts(expression: unknown): Verdict[] {
  if (typeof expression !== 'object' || expression === null) return []
  const keys = Array.isArray(expression) ? [] : Object.keys(expression)
  const here = verdicts.filter((verdict) => keys.includes(verdict))
  return [...here, ...Object.values(expression).flatMap((value: unknown) => findVerdicts(value))]
}
