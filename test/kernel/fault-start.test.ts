import { describe, expect, test } from 'vitest'
import { createMount, startAgent } from '../sandbox/agent.ts'
import type { LogLine } from '../sandbox/agent.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import { dump } from './dump.ts'
import { rulesetOf } from './enforce.ts'
import { longRows } from './long-rows.ts'
import { ailments, createTools, makeAiling } from './tools.ts'

const blocked = Array.from({ length: 20 }, (_, index) => [
  `192.0.2.${index * 2}`,
  `2001:db8::${index}:1`,
]).flat()
const ruleset = rulesetOf({
  interfaces: { external: ['eth0'] },
  sets: { blocked },
  defaults: { ingress: 'reject' },
  rules: [{ name: 'blocked', action: 'drop', from: ['blocked'] }],
})
const textOf = (line: LogLine) => `${line.msg} ${JSON.stringify(line['warnings'])}`

type Start = {
  readonly name: string
  readonly programs: readonly string[]
  /** What the agent says of it. */
  readonly message: RegExp
  /** Rules are in force all the same. */
  readonly inForce?: true
}

const starts: readonly Start[] = [
  {
    name: 'iptables-save',
    programs: ['iptables-nft-save', 'ip6tables-nft-save'],
    message: /running iptables-nft-save: /,
  },
  {
    name: 'iptables-restore',
    programs: ['iptables-nft-restore', 'ip6tables-nft-restore'],
    message: /running iptables-nft-restore: /,
  },
  {
    name: 'ip',
    programs: ['ip'],
    message: /the interfaces of this node could not be read.*running ip: /,
  },
  { name: 'ipset', programs: ['ipset'], message: /ipv4: running ipset: / },
  {
    name: 'nft',
    programs: ['nft'],
    message: /the nft tables of others cannot be read: running nft: /,
    inForce: true,
  },
  { name: 'nsenter', programs: ['nsenter'], message: /running ip(tables-nft-save)?: / },
  {
    name: 'flock',
    programs: ['flock'],
    message: /two agents on this node would not notice each other: locking \S+ with flock/,
    inForce: true,
  },
]
// A flock that hangs cannot be told from one that waits for its turn.
const rows = starts.flatMap((start) =>
  (start.name === 'flock' ? ['is missing'] : ['is missing', 'hangs']).map((ailment) => ({
    ...start,
    ailment,
  })),
)
const chosen = longRows('programs at the start', rows, ({ name, ailment }) => {
  return name === 'iptables-save' || (ailment === 'is missing' && ['ip', 'nft', 'flock'].includes(name))
})

describe.runIf((await usableBackends()).includes('nft'))('at the start of the agent', () => {
  test.concurrent.for(chosen)(
    '$name $ailment: said, and well by itself once it is back',
    { timeout: 180_000 },
    async ({ programs, ailment, message, inForce = false }, { onTestFinished }) => {
      const [host, tools, mount] = await Promise.all([
        startHost(),
        createTools(),
        createMount({ 'worker.yaml': ruleset }),
      ])
      onTestFinished(async () => {
        await Promise.all([mount.remove(), tools.remove(), host.close()])
      })
      for (const program of programs) await makeAiling(tools, program, ailment)
      const args = ['--backend', 'nft', '--command-timeout', '1', '--verify-schedule', '*/3 * * * * *']
      const agent = await startAgent(host, { rules: mount.folder, env: tools.env, args })
      onTestFinished(agent.kill)
      const line = await agent.next((each) => each['state'] !== 'Off' && message.test(textOf(each)))
      if (ailment === 'hangs') expect(textOf(line)).toContain(ailments[ailment]?.complaint)
      expect(line['state']).toBe(inForce ? 'Enforcing' : 'Degraded')
      expect(await dump(host)).toMatch(inForce ? /-A node-firewall/ : /^((?!-A node-firewall)[^])*$/)
      for (const program of programs) await tools.giveBack(program)
      await agent.next((each) => each['state'] === 'Enforcing' && !message.test(textOf(each)))
      expect(await dump(host)).toContain('-A node-firewall')
      expect(await agent.stop()).toBe(0)
    },
  )
})
