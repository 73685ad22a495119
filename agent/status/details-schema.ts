import * as z from 'zod'

const time = z.string().describe('RFC 3339')
const texts = z.array(z.string()).readonly()
const count = z.int().min(0)
const port = z.int().min(1).max(65_535)

const familyStatus = z
  .object({
    inForce: z
      .enum(['yes', 'no', 'unknown'])
      .describe('yes and no were read from the kernel; of unknown, error says why'),
    ruleset: z.string().describe('hash of the rulesets in force, read back; none, or unknown'),
    rules: count.describe('rules of ours in the filter table'),
    sets: count.exactOptional().describe('kernel sets of addresses'),
    position: z
      .enum(['first', 'preceded', 'absent'])
      .describe("first: no rule that could decide a packet's fate stands before the jump from INPUT"),
    error: z.string().exactOptional(),
  })
  .readonly()

const lastDrift = z
  .object({
    at: time,
    message: z.string(),
    healed: z.boolean(),
    by: z.string().exactOptional().describe('the process that made the change, where the kernel told'),
  })
  .readonly()

/**
 * The annotation `status`, as `StatusDetails` has it: a test holds the two together. The JSON Schema that is
 * published is made from it (`npm run schema`).
 */
export const detailsSchema = z
  .object({
    source: z
      .enum(['mount', 'api'])
      .exactOptional()
      .describe('where the text of the rulesets came from: the mounted files, or the API'),
    backend: z.enum(['nft', 'legacy']).exactOptional().describe("the iptables of the node's kernel in use"),
    interfaces: z
      .object({ external: texts.describe('those that hold a default route') })
      .readonly()
      .describe('network interfaces'),
    ports: z
      .object({
        kubelet: port.exactOptional(),
        apiServer: port.exactOptional(),
        etcd: port.exactOptional(),
        etcdPeer: port.exactOptional(),
      })
      .readonly()
      .exactOptional()
      .describe('TCP ports of what Kubernetes runs on the node, as far as they were found'),
    families: z
      .object({ ipv4: familyStatus.exactOptional(), ipv6: familyStatus.exactOptional() })
      .readonly()
      .describe('what the kernel holds; a family that the node does not have is absent'),
    drift: z
      .object({
        count,
        byKind: z.record(z.string(), count).readonly(),
        last: lastDrift.exactOptional(),
      })
      .readonly()
      .describe('changes to our rules that came from outside, since the agent was started'),
    change: z
      .object({
        ruleset: z.string().describe('hash of the rulesets that are new'),
        step: z
          .enum(['waiting', 'stopped', 'confirming', 'rolled back'])
          .describe('waiting: not the turn of this node; stopped: another node has rolled them back'),
        probes: texts.exactOptional().describe('those that decide: all that worked before the change'),
        failed: z.string().exactOptional().describe('the probe that failed, and why'),
        at: time.exactOptional(),
        message: z.string().exactOptional(),
      })
      .readonly()
      .exactOptional()
      .describe('new rulesets that are not simply in force'),
    mode: z
      .object({ mode: z.enum(['off', 'audit']), by: z.string() })
      .readonly()
      .exactOptional()
      .describe('who has overridden the rulesets of this node'),
    connections: z
      .object({
        at: time,
        cut: count,
        failed: count.describe('those that go on all the same'),
        notes: texts,
      })
      .readonly()
      .exactOptional()
      .describe('connections that stood when rules began to deny them, as of the last time there were any'),
    logging: z
      .object({
        by: z.enum(['nflog', 'kernel log', 'nothing']).describe('nothing: it is not read'),
        note: z.string().exactOptional().describe('why it is not read, or not by NFLOG'),
      })
      .readonly()
      .exactOptional()
      .describe('how what rules log is read; absent where no rule logs'),
    denied: z
      .object({
        since: time,
        packets: count.describe('of all flows; at most 10 a second and rule are logged, and no more count'),
        flows: z
          .array(
            z
              .object({
                verdict: z.enum(['accept', 'drop', 'reject', 'audit', 'limit']),
                rule: z.string().describe('RULESET/RULE, or RULESET/default FLOW'),
                protocol: z.string(),
                from: z.string(),
                to: z.string(),
                port: z.int().min(0).max(65_535).exactOptional(),
                packets: count,
                last: time,
              })
              .readonly(),
          )
          .readonly()
          .describe('those of most packets'),
      })
      .readonly()
      .exactOptional()
      .describe(
        'what was denied most by rules that log, as of the last write: news of it alone are no reason for one',
      ),
    problems: texts.describe('errors of the rulesets, with file, line and column'),
    warnings: texts,
    notEnforceable: texts.describe('what does not hold on this node, why, and what to do'),
  })
  .readonly()
