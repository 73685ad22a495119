import { expect, test } from 'vitest'
import { z } from 'zod'
import { AGENT_RULES } from './api-server/agent-identity.ts'
import { readRights } from './api-server/manifest-rights.ts'

test('the test API server gives the agent the rights of the manifests, and no others', () => {
  const rights = readRights().flatMap(rightsOf)
  expect(rights.toSorted()).toEqual(AGENT_RULES.map((rule) => JSON.stringify(rule)).toSorted())
})

/** The rules of a ClusterRole or a Role, in the words of the test API server. */
function rightsOf(manifest: unknown): string[] {
  const { kind, metadata, rules } = role.parse(manifest)
  const namespace = kind === 'Role' ? (metadata.namespace ?? 'node-firewall') : undefined
  return rules.map(({ apiGroups: [group = ''], resources, resourceNames: names, verbs }) => {
    const qualified = resources.map((resource) => (group === '' ? resource : `${resource}.${group}`))
    return JSON.stringify({ verbs, resources: qualified, namespace, names })
  })
}

const role = z.object({
  kind: z.string(),
  metadata: z.object({ namespace: z.string().optional() }),
  rules: z
    .array(
      z.object({
        apiGroups: z.array(z.string()).length(1),
        resources: z.array(z.string()),
        resourceNames: z.array(z.string()).optional(),
        verbs: z.array(z.string()),
      }),
    )
    .default([]),
})
