import { execa } from 'execa'

/** Runs kubectl and returns what it printed; rejects with what it says is wrong. */
export type Kubectl = (args: readonly string[], input?: string) => Promise<string>

/** kubectl at one context and no other, whatever the kubeconfig has as its current one. */
export function createKubectl(context: string, signal: AbortSignal): Kubectl {
  return async (args, input) => {
    const all = ['--context', context, ...args]
    const stdin = input === undefined ? ({ stdin: 'ignore' } as const) : { input }
    const { stdout } = await execa('kubectl', all, { ...stdin, cancelSignal: signal, maxBuffer: 100_000_000 })
    return stdout
  }
}
