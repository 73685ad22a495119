import { describe } from 'vitest'
import { accessConforms } from './conformance/access.ts'
import { admissionConforms } from './conformance/admission.ts'
import { eventsConform } from './conformance/events.ts'
import { lifelinesConform } from './conformance/lifelines.ts'
import { patchesConform } from './conformance/patches.ts'
import { readsConform } from './conformance/reads.ts'
import { startReal } from './conformance/real.ts'
import { reconnectsConform } from './conformance/reconnects.ts'
import { slicesConform } from './conformance/slices.ts'
import { openSuite } from './conformance/suite.ts'
import type { Suite } from './conformance/suite.ts'
import { startFake } from './conformance/target.ts'
import { uninstallConforms } from './conformance/uninstall.ts'
import { watchesConform } from './conformance/watches.ts'
import { binaries } from './real/binaries.ts'

if (binaries === undefined) {
  console.warn('SKIPPED: conformance with a real kube-apiserver: KUBEBUILDER_ASSETS is not set')
}

describe('the fake API server', () => {
  conforms(openSuite(startFake))
})

describe.skipIf(binaries === undefined)('a real kube-apiserver (KUBEBUILDER_ASSETS)', () => {
  conforms(openSuite(() => startReal(binaries ?? '')))
})

/** What the fake and a real API server have in common. Each row makes objects of its own. */
function conforms(suite: Suite): void {
  readsConform(suite)
  patchesConform(suite)
  accessConforms(suite)
  describe('admission', () => {
    admissionConforms(suite)
  })
  watchesConform(suite)
  slicesConform(suite)
  lifelinesConform(suite)
  eventsConform(suite)
  uninstallConforms(suite)
  reconnectsConform(suite)
}
