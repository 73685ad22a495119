import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { AGENT_RULES } from './api-server/agent-identity.ts'

test('the test API server gives the agent the rights of manifests/base/rbac.yaml and api-watch, and no others', async () => {
  const texts = await Promise.all(
    ['base', 'components/api-watch'].map(async (folder) =>
      readFile(new URL(`../../manifests/${folder}/rbac.yaml`, import.meta.url), 'utf8'),
    ),
  )
  const documents = texts.flatMap((text) => parseAllDocuments(text))
  const rights = documents.flatMap((document) => rightsOf(document.toJS()))
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
