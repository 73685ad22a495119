import { watchCommand } from '../../agent/host/watch-command.ts'
import { chainNames } from '../../agent/netfilter/chain.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Host } from '../../test/sandbox/host.ts'
import { until } from './until.ts'

/** All chains and rules of the filter table, without counters: one text for each family. */
export type Kernel = readonly string[]

export async function readKernel(host: Host): Promise<Kernel> {
  const texts = families.map(async (family) => {
    const program = family === 'ipv4' ? 'iptables-nft-save' : 'ip6tables-nft-save'
    const { stdout } = await host.exec(program, ['-t', 'filter'])
    return stdout.replaceAll(/^#.*\n| \[\d+:\d+\]$/gm, '')
  })
  return Promise.all(texts)
}

/** Whether the chain of each family has a rule with such a comment. */
export function hasRule(kernel: Kernel, comment: string): boolean {
  const rule = new RegExp(`^-A ${chainNames.input} .*--comment "${comment}"`, 'm')
  return kernel.every((text) => rule.test(text))
}

/** Tells how long it takes until the kernel is as asked for. */
export type Stopwatch = {
  /** Starts the clock, does something, and returns after how many ms the kernel made the change that was missing. */
  measure(what: string, act: () => Promise<unknown>, fits: (kernel: Kernel) => boolean): Promise<number>
  close(): Promise<void>
}

/**
 * The kernel tells of each commit when it makes it, so reading only then keeps the processors free for what is
 * measured.
 */
export function createStopwatch(host: Host): Stopwatch {
  const controller = new AbortController()
  let commits = 0
  let lastCommit = 0
  const onLine = (line: string) => {
    if (!line.startsWith('# new generation ')) return
    commits += 1
    lastCommit = performance.now()
  }
  const watching = watchCommand(host.pid, ['nft', 'monitor'], { onLine, onGap: () => {} }, controller.signal)
  return {
    async measure(what, act, fits) {
      const started = performance.now()
      let looked = commits
      await act()
      return until(what, async () => {
        if (commits === looked) return undefined
        looked = commits
        return fits(await readKernel(host)) ? lastCommit - started : undefined
      })
    },
    async close() {
      controller.abort()
      await watching
    },
  }
}
