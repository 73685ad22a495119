import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compileChain } from '../../agent/netfilter/compile.ts'
import { parseProtocols } from '../../agent/netfilter/protocol-names.ts'
import { freshText } from '../../agent/netfilter/restore-text.ts'
import { createTables } from '../../agent/netfilter/tables.ts'
import { compareTable } from '../../agent/netfilter/compare.ts'
import { removeText } from '../../agent/netfilter/restore-text.ts'
import { resolvePolicy } from '../../agent/policy/resolve.ts'
import { families } from '../../agent/ruleset/address.ts'
import { hasErrors, parseRulesets } from '../../agent/ruleset/parse.ts'
import { readFile } from 'node:fs/promises'
import { rulesetDocuments } from '../ruleset/arbitrary.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'

const backends = await usableBackends()
const facts = { external: ['eth0', 'eth1'], interfaces: ['eth0', 'eth1', 'lo'] }
let host: Host

beforeAll(async () => {
  host = await startHost()
})
afterAll(async () => host.close())

describe.each(backends)('on iptables-%s', (backend) => {
  test.each(families)('what is restored is what is saved, for any ruleset, %s', async (family) => {
    const protocols = parseProtocols(await readFile('/etc/protocols', 'utf8').catch(() => ''))
    const tables = createTables(host.exec, async () => ['filter'], protocols)
    await fc.assert(
      fc.asyncProperty(rulesetDocuments(), async (document) => {
        const parsed = parseRulesets([
          { path: 'generated.yaml', bytes: Buffer.from(JSON.stringify(document)) },
        ])
        fc.pre(!hasErrors(parsed.problems))
        const chain = compileChain(resolvePolicy(parsed.rulesets, facts), family)
        await tables.restore(backend, family, freshText(chain))
        const table = await tables.read(backend, family)
        expect(table.get(chain.name)?.rules.map(({ text }) => text)).toEqual(chain.rules)
        expect(compareTable(chain, table)).toEqual([])
        await tables.restore(backend, family, removeText(table))
        expect(compareTable(undefined, await tables.read(backend, family))).toEqual([])
      }),
      { numRuns: 60 },
    )
  })
})
