import { clientAddress } from '../../test/sandbox/sandbox.ts'

const { ipv4, ipv6 } = clientAddress.internet

/** What somebody adds beside the preset: SSH from one address of each family. */
export const ownRuleset = `# SSH from the office.
apiVersion: node-firewall.io/v1
kind: Ruleset
metadata:
  name: own
spec:
  priority: 50
  rules:
    - name: ssh from the office
      action: accept
      protocol: tcp
      ports: [22]
      from: [${ipv4}, '${ipv6}']
`

/** The comment that the rule has in the kernel. */
export const ownComment = 'own/ssh from the office'

/** A slip of the finger that would open SSH to 256 addresses instead of one. */
export const slip = `${ipv4}/24`
export const brokenRuleset = ownRuleset.replace(ipv4, slip)

/** Where the slip stands, as `LINE:COLUMN`. */
export const slipPosition = (() => {
  const before = brokenRuleset.slice(0, brokenRuleset.indexOf(slip)).split('\n')
  return `${before.length}:${(before.at(-1) ?? '').length + 1}`
})()
