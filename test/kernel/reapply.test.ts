import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { families } from '../../agent/ruleset/address.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { enforce, rulesetOf } from './enforce.ts'

const openPort = 5000
const closedPort = 5001
const changes = 15

/** Rules that differ with each number, among them always one open port and a default that closes the rest. */
function rulesNumber(number: number): string {
  const open = { name: 'open', action: 'accept', protocol: 'udp', ports: [openPort] }
  const filler = Array.from({ length: 30 }, (_, index) => {
    return {
      name: `filler ${index}`,
      action: 'accept',
      protocol: 'tcp',
      ports: [1000 + ((number * 7 + index) % 500)],
    }
  })
  const rules = number % 2 === 0 ? [open, ...filler] : [...filler, open]
  return rulesetOf({ rules, defaults: { ingress: 'drop' } })
}

describe.each(await usableBackends())('while rules change under load on iptables-%s', (backend) => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await createSandbox()
    await sandbox.node.listen('udp', openPort)
    await sandbox.node.listen('udp', closedPort)
  })
  afterAll(async () => sandbox.close())

  test.each(families)('no packet gets in, none is kept out, %s', async (family) => {
    await enforce(sandbox.node, backend, rulesNumber(0))
    const blast = await sandbox.internet.stream(nodeAddress[family], closedPort, 'blast')
    const echo = await sandbox.private.stream(nodeAddress[family], openPort, 'echo')
    for (let number = 1; number <= changes; number += 1)
      await enforce(sandbox.node, backend, rulesNumber(number))
    const [closed, open] = [await blast.stop(), await echo.stop()]
    expect(closed.sent).toBeGreaterThan(1000)
    expect(await sandbox.node.received(closedPort)).toBe(0)
    expect(open.answered).toBeGreaterThan(100)
    expect(open.lost).toBe(0)
  })
})
