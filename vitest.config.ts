import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    // Kernel tests spawn real processes in real namespaces; on two busy cores that takes its time.
    testTimeout: 180_000,
    hookTimeout: 60_000,
    // By default one core stays free. These tests mostly wait: for processes, for packets, for deadlines to pass.
    maxWorkers: 3,
    // The agent is started hundreds of times, as TypeScript: its compiled code is kept from one to the next.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules', '.cache', 'node-compile') },
  },
})
