import { expect, onTestFinished, test } from 'vitest'
import { createMount, startAgent } from '../sandbox/agent.ts'
import { startHost } from '../sandbox/host.ts'
import { rulesetOf } from './enforce.ts'
import { createShims } from './shims.ts'

/** Of what nft 1.1.2 and later make, older ones can read nothing. */
const crashingNft = '[ "$1" = monitor ] && kill -SEGV $$\nPATH=${PATH#*:} exec nft "$@"'

test('where nft monitor crashes, drift is noticed at once all the same, and its culprit named', async () => {
  const [host, shims] = [await startHost(), await createShims()]
  const text = rulesetOf({ interfaces: { external: ['eth0'] }, defaults: { ingress: 'reject' } })
  const mount = await createMount({ 'worker.yaml': text })
  await shims.put('nft', crashingNft)
  const never = ['--verify-schedule', '0 0 1 1 *', '--reapply-schedule', '0 0 1 1 *']
  const args = ['--backend', 'nft', ...never]
  const agent = await startAgent(host, { rules: mount.folder, args, env: shims.env })
  onTestFinished(async () => {
    await agent.stop()
    await Promise.all([host.close(), shims.remove(), mount.remove()])
  })
  await agent.next(({ msg }) => msg === 'following the changes of netfilter was interrupted')
  await agent.next(({ state }) => state === 'Enforcing')
  const isHealed = async () => {
    await host.exec('iptables-nft', ['--wait', '-A', 'node-firewall', '-j', 'ACCEPT'])
    return agent.log.some(
      ({ kind, healed, by }) => kind !== undefined && healed === true && String(by).startsWith('iptables'),
    )
  }
  // Until the other monitor listens.
  await expect.poll(isHealed, { timeout: 30_000, interval: 500 }).toBe(true)
})
