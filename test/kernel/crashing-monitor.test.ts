import { expect, onTestFinished, test } from 'vitest'
import type { StatusDetails } from '../../agent/status/status.ts'
import { createMount, startAgent } from '../sandbox/agent.ts'
import { startHost } from '../sandbox/host.ts'
import { rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

/** Of what nft 1.1.2 and later make, older ones can read nothing. */
const crashingNft = '[ "$1" = monitor ] && kill -SEGV $$\nPATH=${PATH#*:} exec nft "$@"'

async function start(shim: Readonly<Record<string, string>>, verifySchedule: string) {
  const [host, shims] = [await startHost(), await createShims()]
  const text = rulesetOf({ interfaces: { external: ['eth0'] }, defaults: { ingress: 'reject' } })
  const mount = await createMount({ 'worker.yaml': text })
  for (const [program, script] of Object.entries(shim)) await shims.put(program, script)
  const schedules = ['--verify-schedule', verifySchedule, '--reapply-schedule', never]
  const args = ['--backend', 'nft', ...schedules]
  const agent = await startAgent(host, { rules: mount.folder, args, env: shims.env })
  onTestFinished(async () => {
    await agent.stop()
    await Promise.all([host.close(), shims.remove(), mount.remove()])
  })
  await agent.next(({ msg }) => msg === 'following the changes of netfilter was interrupted')
  await agent.next(({ state }) => state === 'Enforcing')
  return { host, agent }
}

const never = '0 0 1 1 *'

test('where nft monitor crashes, drift is noticed at once all the same, and its culprit named', async () => {
  const { host, agent } = await start({ nft: crashingNft }, never)
  const isHealed = async () => {
    await host.exec('iptables-nft', ['--wait', '-A', 'node-firewall', '-j', 'ACCEPT'])
    return agent.log.some(
      ({ kind, healed, by }) => kind !== undefined && healed === true && String(by).startsWith('iptables'),
    )
  }
  // Until the other monitor listens.
  await expect.poll(isHealed, { timeout: 30_000, interval: 500 }).toBe(true)
})

test('where every monitor crashes, the status says that drift waits for the verify pass, which heals it', async () => {
  const { host, agent } = await start(
    { nft: crashingNft, 'xtables-monitor': 'echo it cannot >&2; exit 1' },
    '* * * * * *',
  )
  const said =
    'changes from outside are noticed only by the verify pass, as what follows them soon ends each time:'
  await agent.next(({ warnings = [] }) => JSON.stringify(warnings).includes(said))
  await host.exec('iptables-nft', ['--wait', '-F', 'node-firewall'])
  await agent.next(({ kind, healed }) => kind !== undefined && healed === true)
  const { warnings }: StatusDetails = JSON.parse((await agent.status())['node-firewall.io/status'] ?? '')
  expect(warnings).toContainEqual(expect.stringContaining(said))
})
