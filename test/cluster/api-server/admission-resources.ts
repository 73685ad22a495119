import type { Resource } from './resources.ts'

const ADMISSION = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false, zero: {} }

export const POLICIES: Resource = {
  ...ADMISSION,
  plural: 'validatingadmissionpolicies',
  kind: 'ValidatingAdmissionPolicy',
}

export const BINDINGS: Resource = {
  ...ADMISSION,
  plural: 'validatingadmissionpolicybindings',
  kind: 'ValidatingAdmissionPolicyBinding',
}
