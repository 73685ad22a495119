import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

// The lock of iptables-legacy is a file of the machine; tests must neither wait for others nor keep them waiting.
if (process.env['XTABLES_LOCKFILE'] === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'node-firewall-lock-'))
  process.env['XTABLES_LOCKFILE'] = join(folder, 'xtables.lock')
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
}

// What agents keep on their host is the machine's too. Tests of it name folders and files of their own.
process.env['NODE_FIREWALL_STATE_DIR'] ??= 'off'
process.env['NODE_FIREWALL_LOCK_FILE'] ??= 'off'
process.env['NODE_FIREWALL_UNIT_DIR'] ??= '/dev/null/none'
