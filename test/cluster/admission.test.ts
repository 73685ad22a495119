import { describe, expect, test } from 'vitest'
import type { Case } from './admission-case.ts'
import { eventCases } from './admission-event-cases.ts'
import { nodeCases } from './admission-node-cases.ts'
import { admit } from './api-server/admission.ts'
import { readPolicies } from './api-server/manifest-policies.ts'
import { Refusal } from './api-server/statuses.ts'
import { createStore } from './api-server/store.ts'

/** What the policies of manifests/base say, whatever RBAC allows. */
const store = createStore()
for (const { resource, draft } of readPolicies()) store.create(resource, draft)

describe.each([
  ['a Node', 'node-firewall-own-node', nodeCases],
  ['an Event', 'node-firewall-own-events', eventCases],
] as const)('an agent that writes %s', (_what, policy, cases) => {
  test.each(cases)('$name', ({ write, denied }: Case) => {
    const why = `ValidatingAdmissionPolicy '${policy}' with binding '${policy}' denied request: ${denied}`
    const { plural: kind } = write.resource
    const expected = {
      code: 403,
      reason: 'Forbidden',
      message: `${kind} "${write.name}" is forbidden: ${why}`,
      details: { name: write.name, kind, causes: [{ message: why }] },
    }
    expect(refusalOf(write)).toMatchObject(denied === undefined ? { message: undefined } : expected)
  })
})

function refusalOf(write: Case['write']) {
  try {
    admit(store, write)
    return { message: undefined }
  } catch (error) {
    if (error instanceof Refusal) return error.status
    throw error
  }
}
