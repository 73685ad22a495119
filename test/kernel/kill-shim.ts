import { execFileSync } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { nflogGroup } from '../../agent/netfilter/log-text.ts'
import { createShims } from './shims.ts'

/** Who dies at a command of a process under test, and when. */
export type Fall =
  /** The process, and the command is never run. */
  | 'before'
  /** The process, and the command runs all the same: it was just started. */
  | 'orphan'
  /** The process while the command runs: what it still had to write to it is lost. */
  | 'during'
  /** The process, once the command has ended. */
  | 'after'
  /** The command itself, as when the kernel is out of memory. */
  | 'command'

export type KillAt = { readonly command: number; readonly fall: Fall; readonly delayMs: number }

/**
 * Counts the commands that a process runs through nsenter, from when it is armed, and kills at one of them. Commands of
 * other processes with the same PATH are neither counted nor killed.
 */
export async function createKillShim() {
  const shims = await createShims()
  const [plan, started] = ['plan', 'started'].map((name) => join(shims.folder, name))
  const real = execFileSync('sh', ['-c', 'command -v nsenter'], { encoding: 'utf8' }).trim()
  await shims.put('nsenter', script(real, plan ?? '', started ?? ''))
  const startedPids = async () =>
    (await readFile(started ?? '', 'utf8').catch(() => '')).split('\n').filter(Boolean)
  return {
    env: shims.env,
    /** From now on the commands of a process count; without a moment they are only counted. */
    async arm(pid: number, at?: KillAt): Promise<void> {
      await rm(started ?? '', { force: true })
      const { command = 0, fall = 'after', delayMs = 0 } = at ?? {}
      await writeFile(plan ?? '', `${pid} ${command} ${fall} ${delayMs / 1000}\n`)
    },
    /** How many commands there were. */
    count: async () => (await startedPids()).length,
    /** Resolves when all that were started have ended: they may outlive who started them. */
    async disarm(): Promise<void> {
      await rm(plan ?? '', { force: true })
      const ended = async () => (await Promise.all((await startedPids()).map(hasEnded))).every(Boolean)
      await expect.poll(ended, { timeout: 45_000, interval: 5 }).toBe(true)
    },
    remove: shims.remove,
  }
}

/** One that nobody has waited for is still listed, as a zombie. */
async function hasEnded(pid: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat === '' || / Z /.test(stat.slice(stat.lastIndexOf(')')))
}

/**
 * The number of a command is the line on which it finds its own process in the list. The reader of what rules log is no
 * command: it stays.
 */
function script(real: string, plan: string, started: string): string {
  return `
case "$*" in *' perl '*' ${nflogGroup} '*) exec ${real} "$@" ;; esac
read -r victim at fall seconds 2>/dev/null < ${plan} && [ "$victim" = "$PPID" ] || exec ${real} "$@"
echo $$ >> ${started}
number=$(grep -nx $$ ${started})
[ "\${number%%:*}" = "$at" ] || exec ${real} "$@"
case $fall in
before) kill -KILL $victim; exit 1 ;;
orphan) kill -KILL $victim; exec ${real} "$@" ;;
during) (sleep $seconds; kill -KILL $victim) < /dev/null > /dev/null 2>&1 & exec ${real} "$@" ;;
command) (sleep $seconds; kill -KILL $$) < /dev/null > /dev/null 2>&1 & exec ${real} "$@" ;;
after) ${real} "$@"; status=$?; kill -KILL $victim; exit $status ;;
esac`
}
