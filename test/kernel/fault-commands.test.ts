import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { AgentProcess, LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { dump, rulesIn } from './dump.ts'
import { rulesetOf } from './enforce.ts'
import { longRows } from './long-rows.ts'
import { ailments, createTools, makeAiling } from './tools.ts'
import type { Tools } from './tools.ts'

const blocked = Array.from({ length: 20 }, (_, index) => `192.0.2.${index * 2}`)
const rulesetWith = (port: number) =>
  rulesetOf({
    interfaces: { external: ['eth0'] },
    sets: { blocked },
    defaults: { ingress: 'reject' },
    rules: [
      { name: 'blocked', action: 'drop', from: ['blocked'] },
      { name: 'open', action: 'accept', protocol: 'tcp', ports: [port] },
    ],
  })
const all = Object.keys(ailments)
const textOf = (line: LogLine) => `${line.msg} ${JSON.stringify(line['warnings'])}`
const isWell = (line: LogLine) =>
  line['state'] === 'Enforcing' && !/running |cannot be read/.test(textOf(line))

describe.each(await usableBackends())('a program on iptables-%s', (backend) => {
  let host: Host
  let tools: Tools
  let mount: Awaited<ReturnType<typeof createMount>>
  let agent: AgentProcess
  let port = 1000

  beforeAll(async () => {
    host = await startHost()
    tools = await createTools()
    mount = await createMount({ 'worker.yaml': rulesetWith(port) })
    const never = ['--verify-schedule', '0 0 1 1 *', '--reapply-schedule', '0 0 1 1 *']
    const args = ['--backend', backend, '--command-timeout', '1', '--confirm-deadline', '3', ...never]
    agent = await startAgent(host, { rules: mount.folder, env: tools.env, args })
    await agent.next(isWell)
  })
  afterAll(async () => {
    expect(await agent.stop()).toBe(0)
    await mount.remove()
    await tools.remove()
    await host.close()
  })

  const writes = () => agent.log.filter(({ msg }) => msg === 'rules written').length

  async function edit(): Promise<void> {
    port += 1
    await mount.write({ 'worker.yaml': rulesetWith(port) })
  }

  /** The passes from here on, until one fits. */
  async function passUntil(fits: (line: LogLine) => boolean): Promise<LogLine> {
    agent.signal('SIGHUP')
    return agent.next((line) => line['reasons'] !== undefined && fits(line))
  }

  const onNft = backend === 'nft'
  const reading = [
    [`iptables-${backend}-save`, 'Degraded', /ipv4: (running iptables|reading the filter table)/],
    ['ip', 'Enforcing', /the interfaces cannot be read: running ip/],
    ['ipset', 'Degraded', /ipv4: (running ipset|reading the sets|reading back)/],
  ] as const
  const steady = longRows(
    `programs that read, on ${backend}`,
    reading.flatMap((row) => all.map((ailment) => [row[0], ailment, row[1], row[2]] as const)),
    ([program, ailment]) => (onNft || program.startsWith('iptables')) && ailment !== 'fails',
  )
  test.each(steady)(
    'that reads: %s %s: said, nothing is written, well again by itself',
    async (program, ailment, state, message) => {
      const [rules, written] = [await dump(host), writes()]
      await makeAiling(tools, program, ailment)
      const line = await passUntil((each) => message.test(textOf(each)))
      expect(line['state']).toBe(state)
      expect(textOf(line)).toContain(ailments[ailment]?.complaint)
      expect(await dump(host)).toBe(rules)
      await tools.giveBack(program)
      await passUntil(isWell)
      expect(await dump(host)).toBe(rules)
      expect(writes()).toBe(written)
    },
  )

  const inBoth = longRows(`programs that write both families, on ${backend}`, all, (ailment) =>
    (onNft ? ['is missing', 'hangs'] : ['hangs']).includes(ailment),
  )
  test.each(inBoth)(
    'that writes %s, in both families: what was in force stays; the edit is in force when it works again',
    async (ailment) => {
      const programs = [`iptables-${backend}-restore`, `ip6tables-${backend}-restore`]
      const rules = await dump(host)
      for (const program of programs) await makeAiling(tools, program, ailment)
      await edit()
      const line = await agent.next(({ state }) => state === 'Degraded')
      expect(line.msg).toMatch(/ipv4: (running iptables-\w+-restore|reading back ipv4)/)
      expect(line.msg).toContain(ailments[ailment]?.complaint)
      expect(rulesIn(await dump(host))).toBe(rulesIn(rules))
      for (const program of programs) await tools.giveBack(program)
      await agent.next(isWell)
      expect(await dump(host)).toContain(`--dport ${port}`)
    },
  )

  const inOne = longRows(
    `programs that write one family, on ${backend}`,
    all,
    (ailment) => onNft && ['hangs', 'prints garbage'].includes(ailment),
  )
  test.each(inOne)(
    'that writes %s, in one family: the edit is rolled back in the other, and tried again with the next one',
    async (ailment) => {
      const program = `iptables-${backend}-restore`
      const rules = await dump(host)
      await makeAiling(tools, program, ailment)
      await edit()
      const line = await agent.next(({ state }) => state === 'RolledBack')
      expect(line.msg).toMatch(/was rolled back, ipv4 failed: .*it is not tried again until its text changes/)
      expect(line.msg).toContain(ailments[ailment]?.complaint)
      expect(rulesIn(await dump(host))).toBe(rulesIn(rules))
      await tools.giveBack(program)
      await mount.write({ 'worker.yaml': `# once more\n${rulesetWith(port)}` })
      await agent.next(isWell)
      expect(await dump(host)).toContain(`--dport ${port}`)
    },
  )

  const besides = longRows(`conntrack, on ${backend}`, all, (ailment) => onNft && ailment !== 'fails')
  test.each(besides)('that rules do not depend on %s: an edit is in force all the same', async (ailment) => {
    const start = agent.log.length
    await makeAiling(tools, 'conntrack', ailment)
    await edit()
    await agent.next(({ state, reasons }) => state === 'Enforcing' && String(reasons).includes('files'))
    expect(await dump(host)).toContain(`--dport ${port}`)
    const said = () => JSON.stringify(agent.log.slice(start))
    const complaint = ailments[ailment]?.complaint
    const whole = complaint === '' ? '' : `standing connections were not cut: running conntrack: `
    await expect.poll(said, { timeout: 30_000 }).toContain(whole)
    expect(said()).toContain(complaint)
    await tools.giveBack('conntrack')
    await passUntil(isWell)
  })
})
