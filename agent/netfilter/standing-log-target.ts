import { isExpected } from '../errors.ts'
import { families } from '../ruleset/address.ts'
import type { Backend } from './backend.ts'
import { isOurChain } from './chain.ts'
import { logTag } from './log-text.ts'
import type { LogTarget } from './log-text.ts'
import type { Tables } from './tables.ts'

const toKernel = new RegExp(`-j LOG --log-prefix "?${logTag} `)

/** Where the rules of ours that stand in the kernel log to; what cannot be read, or does not log, says nothing. */
export async function readLogTarget(tables: Tables, backend: Backend): Promise<LogTarget> {
  const found = families.map(async (family) => {
    try {
      const table = await tables.read(backend, family)
      const ours = [...table].filter(([name]) => isOurChain(name))
      return ours.some(([, { rules }]) => rules.some(({ text }) => toKernel.test(text)))
    } catch (error) {
      if (!isExpected(error)) throw error
      return false
    }
  })
  return (await Promise.all(found)).includes(true) ? 'kernel' : 'nflog'
}
