import { OutsideError } from '../errors.ts'
import type { Exec } from '../host/exec.ts'
import { families } from '../ruleset/address.ts'
import type { Family } from '../ruleset/address.ts'
import { program } from './tables.ts'
import type { LegacyTables } from './tables.ts'

/** Which of the kernel's two packet filters the host's iptables speaks to. */
export type Backend = 'nft' | 'legacy'
export const backends: readonly Backend[] = ['nft', 'legacy']

export function otherBackend(backend: Backend): Backend {
  return backend === 'nft' ? 'legacy' : 'nft'
}

/**
 * Finds the backend that the host uses, without changing anything: the one in which the kubelet keeps its hint
 * chains; without hints the one in use so far, and at first the one with more rules, else nft.
 *
 * @throws {CommandError} when nft can be read for neither family, or a command was killed
 */
export async function detectBackend(
  exec: Exec,
  legacyTables: LegacyTables,
  current?: Backend,
): Promise<Backend> {
  if (await hasNftHint(exec)) return 'nft'
  if (hasHint(await saveLegacy(exec, legacyTables, 'mangle'))) return 'legacy'
  if (current !== undefined) return current
  const legacyRules = countRules(await saveLegacy(exec, legacyTables, 'filter'))
  return legacyRules > countRules(await saveNftFilter(exec)) ? 'legacy' : 'nft'
}

/** The chains by which the kubelet tells others its backend (KEP-3178). */
function hasHint(saved: string): boolean {
  return /^:KUBE-(IPTABLES-HINT|KUBELET-CANARY) /m.test(saved)
}

function countRules(saved: string): number {
  return saved.match(/^-A /gm)?.length ?? 0
}

async function saveLegacy(exec: Exec, legacyTables: LegacyTables, table: string): Promise<string> {
  const texts = families.map(async (family) =>
    (await legacyTables(family)).includes(table) ? save(exec, 'legacy', family, table) : '',
  )
  return (await Promise.all(texts)).join('')
}

/** The kubelet writes them for both families, so where IPv4 has one IPv6 need not be asked. */
async function hasNftHint(exec: Exec): Promise<boolean> {
  const ipv4 = await saveNft(exec, 'ipv4', 'mangle')
  if (typeof ipv4 === 'string' && hasHint(ipv4)) return true
  return hasHint(textOf([ipv4, await saveNft(exec, 'ipv6', 'mangle')]))
}

async function saveNftFilter(exec: Exec): Promise<string> {
  return textOf(await Promise.all(families.map(async (family) => saveNft(exec, family, 'filter'))))
}

type Answer = string | OutsideError

async function saveNft(exec: Exec, family: Family, table: string): Promise<Answer> {
  return save(exec, 'nft', family, table).catch((error: unknown) => {
    if (!(error instanceof OutsideError) || error.wasKilled) throw error
    return error
  })
}

/** One family may be missing from the kernel; when both fail, nothing is known. */
function textOf(answers: readonly Answer[]): string {
  const [first] = answers
  if (first instanceof OutsideError && answers.every((answer) => answer instanceof OutsideError)) throw first
  return answers.filter((answer) => typeof answer === 'string').join('')
}

async function save(exec: Exec, backend: Backend, family: Family, table: string): Promise<string> {
  return (await exec(program(backend, family, 'save'), ['-t', table])).stdout
}
