import * as z from 'zod'
import { reservedSetNames } from './built-in-sets.ts'
import { failsafeSchema } from './failsafe.ts'
import { action, address, interfaceList, isSetName, yesOrNo } from './fields.ts'
import { probeList } from './probe-schema.ts'
import { rolloutSchema } from './rollout-schema.ts'
import { ruleSchema } from './rule-schema.ts'

/*
 * The Ruleset document as people write it. Each `error` completes the sentence "found X, expected ...". What needs
 * more than one field is checked in check-document.ts.
 */

const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const labelName = /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)$/
const labelKey = new RegExp(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?${labelName.source.slice(1)}`)
const labelValue = new RegExp(`^$|${labelName.source}`)
const dataFileName = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$/

/** Whether a file of a mounted ConfigMap is a Ruleset; all others are data. */
export function isRulesetName(name: string): boolean {
  return /\.ya?ml$/.test(name)
}
export const labelSelector = z.strictObject(
  {
    matchLabels: z
      .record(
        z.string().regex(labelKey, { error: 'a label key, such as "node.kubernetes.io/pool"' }),
        z
          .string({ error: 'a label value in quotes' })
          .regex(labelValue, { error: 'a label value: at most 63 letters, digits, ".", "_" and "-"' }),
        { error: 'a map of labels' },
      )
      .optional(),
    matchExpressions: z
      .array(
        z.strictObject(
          {
            key: z.string({ error: 'a label key' }).regex(labelKey, { error: 'a label key' }),
            operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist'], {
              error: 'In, NotIn, Exists or DoesNotExist',
            }),
            values: z
              .array(z.string({ error: 'a label value in quotes' }), { error: 'a list of values' })
              .optional(),
          },
          { error: 'a map with key, operator and values' },
        ),
        { error: 'a list of label expressions' },
      )
      .optional(),
  },
  { error: 'a label selector: a map with matchLabels or matchExpressions' },
)

const setsSchema = z.record(
  z
    .string()
    .refine(isSetName, { error: 'the name of a set: a letter, then letters, digits, "_" or "-", at most 40' })
    .refine((name) => !reservedSetNames.has(name), {
      error: 'a set of this name is built in; choose another',
    }),
  z.union(
    [
      z.array(address, { error: 'a list of addresses and CIDRs' }),
      z.strictObject(
        {
          file: z
            .string({ error: 'the name of a data file' })
            .regex(dataFileName, { error: 'the name of a data file beside this one, without folders' })
            .refine((name) => !isRulesetName(name), { error: 'a Ruleset is no list of addresses' }),
        },
        { error: 'a map with file' },
      ),
    ],
    { error: 'a list of addresses and CIDRs, or { file: NAME }' },
  ),
  { error: 'a map of named address lists' },
)

const priorityExpected = { error: 'a whole number from 0 to 1000000' }

export const rulesetSchema = z
  .strictObject(
    {
      apiVersion: z.literal('node-firewall.io/v1', { error: 'node-firewall.io/v1' }),
      kind: z.literal('Ruleset', { error: 'Ruleset' }),
      metadata: z.strictObject(
        {
          name: z.string({ error: 'a name' }).regex(dnsLabel, {
            error: 'at most 63 of the characters a-z 0-9 -, with a letter or digit at both ends',
          }),
        },
        { error: 'a map with name' },
      ),
      spec: z.strictObject(
        {
          nodeSelector: labelSelector.optional(),
          priority: z
            .int(priorityExpected)
            .min(0, priorityExpected)
            .max(1_000_000, priorityExpected)
            .optional(),
          interfaces: z
            .strictObject(
              {
                external: z.union([z.literal('auto'), interfaceList], {
                  error: 'auto or a list of interface names',
                }),
              },
              { error: 'a map with external' },
            )
            .optional(),
          mode: z.enum(['enforce', 'audit'], { error: 'enforce or audit' }).optional(),
          established: z.enum(['cut', 'keep'], { error: 'cut or keep' }).optional(),
          defaults: z
            .strictObject(
              {
                ingress: action.optional(),
                egress: action.optional(),
                podIngress: action.optional(),
                podEgress: action.optional(),
                log: yesOrNo.optional(),
              },
              { error: 'a map with ingress, egress, podIngress, podEgress, log' },
            )
            .optional(),
          rollout: rolloutSchema.optional(),
          failsafe: failsafeSchema.optional(),
          sets: setsSchema.optional(),
          rules: z.array(ruleSchema, { error: 'a list of rules' }).optional(),
          probes: probeList.optional(),
        },
        { error: 'a map with rules, defaults, sets, ...' },
      ),
    },
    { error: 'a Ruleset: a map with apiVersion, kind, metadata and spec' },
  )
  .meta({ title: 'node-firewall Ruleset' })

export type RulesetDocument = z.infer<typeof rulesetSchema>
export type LabelSelector = z.infer<typeof labelSelector>
export type SetDocument = NonNullable<RulesetDocument['spec']['sets']>[string]
