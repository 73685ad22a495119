import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { hashRulesets } from '../../agent/policy/resolve.ts'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { rulesetOf } from '../kernel/enforce.ts'
import { until } from '../cluster/own-node-fixture.ts'
import { annotationsOf } from './fleet.ts'
import { startCluster } from './fleet-fixture.ts'

const text = rulesetOf({ defaults: { ingress: 'drop' } })
const { rulesets } = parseRulesets([{ path: 'worker.yaml', bytes: Buffer.from(text) }])
const said = () => annotationsOf({ ruleset: hashRulesets(rulesets), verifiedAt: new Date().toISOString() })

// Names and messages of more than a pipe holds.
const names = Array.from({ length: 1_000 }, (_, index) => `worker-${index}`)

test.each([
  ['status | true', 0],
  ['status --json | head -n 1', 0],
  ['status worker-1 --watch | head -n 1', 0],
  ['status --watch --json | head -n 1', 0],
  ['wait --ruleset worker.yaml 2>&1 | true', 0],
])('%s: nothing is wrong with a reader that has seen enough', async (command, code) => {
  const server = await startCluster(Object.fromEntries(names.map((name) => [name, said()])))
  const folder = dirname(server.kubeconfigFile)
  await writeFile(join(folder, 'worker.yaml'), text)
  const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')
  const line = `"$0" "$1" ${command}; exit "\${PIPESTATUS[0]}"`
  const env = { KUBECONFIG: server.kubeconfigFile }
  const running = execa('bash', ['-c', line, process.execPath, main], { env, cwd: folder, reject: false })
  let isOver = false
  const ended = running.finally(() => (isOver = true))
  // It learns that nobody reads any more from what it writes then.
  await until(() => {
    server.changeNode('worker-1', { annotations: { 'node-firewall.io/message': String(Math.random()) } })
    expect(isOver).toBe(true)
  })
  const { exitCode, stderr } = await ended
  expect({ exitCode, stderr }).toEqual({ exitCode: code, stderr: '' })
})
