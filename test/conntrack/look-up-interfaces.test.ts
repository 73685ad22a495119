import { expect, test } from 'vitest'
import { lookUpInterfaces } from '../../agent/conntrack/look-up-interfaces.ts'
import type { Exec } from '../../agent/host/exec.ts'

const queries = [{ to: '192.0.2.1' }, { to: '192.0.2.2' }]
const answer = '[{"dst":"192.0.2.1","dev":"eth0","flags":[],"uid":0,"cache":[]}]'

test.each([
  ['a line that breaks off', `${answer}\n[{"dst":"192.0.2.2","de`],
  ['a line that is no route', `${answer}\n[{}]`],
  ['a line that is no JSON', `[{garbage\n${answer}`],
])('what cannot be read of an answer stays unknown: %s', async (_, stdout) => {
  const exec: Exec = async () => ({ stdout, stderr: '', durationMs: 1 })
  const { interfaceOf } = await lookUpInterfaces(exec, 'ipv4', queries, 10)
  expect(queries.map(interfaceOf)).toEqual(['eth0', undefined])
})
