import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'

const program = join(import.meta.dirname, '..', 'host', 'mortal-program.ts')
const patient = { timeout: 60_000, interval: 20 }
const hasLegacy = (await usableBackends()).includes('legacy')
if (!hasLegacy) console.warn('SKIPPED: a restore that waits for the xtables lock: no iptables-legacy here')

/** The next agent may have put in force what it wants by the time that the lock is free. */
test.runIf(hasLegacy)('a restore that waits for the xtables lock ends with who has started it', async () => {
  const host = await startHost()
  const lock = spawn('flock', [process.env['XTABLES_LOCKFILE'] ?? '', 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(lock.stdout, 'data')
  const restore = ['iptables-legacy-restore', '--noflush', '--wait=60']
  const agent = spawn(process.execPath, [program, String(host.pid), ...restore], {
    stdio: ['pipe', 'inherit', 'inherit'],
  })
  agent.stdin.end('*filter\n:late - [0:0]\nCOMMIT\n')
  const waiting = async () => {
    const children = await readFile(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8')
    const [child = ''] = children.trim().split(' ')
    const name = child === '' ? '' : await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '')
    // It has read its input, and hangs in flock(2), when the kernel says that it waits for a lock.
    const at = child === '' ? '' : await readFile(`/proc/${child}/wchan`, 'utf8').catch(() => '')
    return name.startsWith('iptables-legacy') && at !== '0' ? child : ''
  }
  await expect.poll(waiting, patient).not.toBe('')
  const child = await waiting()
  agent.kill('SIGKILL')
  await once(agent, 'exit')
  lock.stdin.end()
  await once(lock, 'exit')
  await expect.poll(() => existsSync(`/proc/${child}`), patient).toBe(false)
  const { stdout } = await host.exec('iptables-legacy-save', [])
  expect(stdout).not.toContain('late')
  await host.close()
})
