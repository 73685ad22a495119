import { isDeepStrictEqual } from 'node:util'
import { chainNames, jumpRule } from '../../agent/netfilter/chain.ts'
import type { AgentProcess } from '../../test/sandbox/agent.ts'
import { untilAttentive } from './attention.ts'
import { afterPreset, allOpen, sshOpened } from './expected.ts'
import { hasRule, readKernel } from './kernel.ts'
import { brokenRuleset, ownComment, ownRuleset, slipPosition } from './own-ruleset.ts'
import type { Report } from './report.ts'
import type { Stage } from './stage.ts'
import { readDrift, readStatus, untilState } from './status.ts'
import { until } from './until.ts'
import { layout, visitAll } from './visits.ts'

/** From an open node to one whose rules are edited, damaged and misspelt; the agent runs on at the end. */
export async function tellStory(stage: Stage, report: Report): Promise<AgentProcess> {
  const { sandbox, stopwatch } = stage
  report.chapter('Before: nothing filters')
  report.say(`${layout}\n`)
  const open = await visitAll(sandbox)
  report.table(open, allOpen)
  if (!open.has('ping')) report.say('(ping is not installed, so nobody pings)')

  report.chapter('The agent starts with the preset lke-worker')
  const starting = Promise.withResolvers<AgentProcess>()
  const start = async () => starting.resolve(await stage.startAgent())
  const startMs = await stopwatch.measure('the preset is in the kernel', start, (kernel) =>
    hasRule(kernel, 'default ingress'),
  )
  const agent = await starting.promise
  report.say(`In the kernel ${format(startMs)} after the process was started.`)
  const closed = await visitAll(sandbox)
  report.table(closed, afterPreset)

  report.chapter('A ruleset is added that lets one address in to SSH')
  await untilAttentive(agent.pid, sandbox.node.pid)
  const swap = async () => stage.swapRules(ownRuleset)
  const swapMs = await stopwatch.measure('the edited rules are in the kernel', swap, (kernel) =>
    hasRule(kernel, ownComment),
  )
  report.say(`The kubelet's way, by swapping the link ..data: in the kernel ${format(swapMs)} later.`)
  report.table(await visitAll(sandbox), sshOpened, closed)

  report.chapter('Somebody flushes the chain, somebody deletes the jump to it')
  await heal(stage, report, ['iptables-nft', '-F', chainNames.input])
  await heal(stage, report, ['ip6tables-nft', '-D', 'INPUT', ...jumpRule(chainNames.input).split(' ')])

  report.chapter('A slip of the finger')
  await misspell(stage, report)

  report.chapter('What the Node carries in a cluster')
  for (const [key, value] of Object.entries(await readStatus(stage.statusFile)))
    report.say(`${key}: ${value}`)
  return agent
}

/** From an agent that runs to a node with nothing of ours. */
export async function tellEnd(stage: Stage, report: Report, agent: AgentProcess): Promise<void> {
  const { sandbox } = stage
  report.chapter('The agent is stopped: the rules stay')
  const before = await readKernel(sandbox.node)
  report.claim('SIGTERM: exit code 0', (await agent.stop()) === 0)
  report.claim('the kernel has the same rules', isDeepStrictEqual(await readKernel(sandbox.node), before))
  report.table(await visitAll(sandbox), sshOpened)

  report.chapter('node-firewall clean')
  report.say(await stage.clean())
  const left = await readKernel(sandbox.node)
  report.claim('nothing of it is in the kernel', !left.join('').includes(chainNames.input))
  report.table(await visitAll(sandbox), allOpen)
}

async function heal({ sandbox, stopwatch, statusFile }: Stage, report: Report, command: readonly string[]) {
  const [program = '', ...args] = command
  const healthy = await readKernel(sandbox.node)
  const { count } = await readDrift(statusFile)
  const ms = await stopwatch.measure(
    'the damage is repaired',
    async () => sandbox.node.exec(program, args),
    (kernel) => isDeepStrictEqual(kernel, healthy),
  )
  const { last } = await until('the status tells of the damage', async () => {
    const drift = await readDrift(statusFile)
    return drift.count > count ? drift : undefined
  })
  report.say(`${command.join(' ')}: as before ${format(ms)} after the command was started.`)
  // A pass that ran anyway may have repaired it before the kernel's news of who did it was read.
  const culprit = last?.by === undefined ? '' : `, by ${last.by}`
  report.say(`  The status: ${last?.message}${culprit}`)
}

async function misspell({ sandbox, swapRules, statusFile }: Stage, report: Report): Promise<void> {
  const before = await readKernel(sandbox.node)
  await swapRules(brokenRuleset)
  const message = await untilState(statusFile, 'Invalid')
  report.say(`The status: Invalid: ${message}`)
  const place = `own.yaml:${slipPosition}: `
  report.claim(`the message names the place, ${place.trim()}`, message.includes(place))
  report.claim('the kernel has the same rules', isDeepStrictEqual(await readKernel(sandbox.node), before))
  await swapRules(ownRuleset)
  report.say(`Repaired. The status: Enforcing: ${await untilState(statusFile, 'Enforcing')}`)
}

function format(ms: number): string {
  return `${ms.toFixed(0)} ms`
}
