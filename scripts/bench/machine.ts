import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { execa } from 'execa'

/** What the numbers depend on. */
export async function describeMachine(): Promise<string[]> {
  const { stdout: iptables } = await execa('iptables-nft', ['--version'])
  const model = cpus()[0]?.model ?? 'unknown processor'
  return [
    `machine: ${availableParallelism()} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`,
    `iptables: ${iptables.replace(/^iptables /, '')}; Node.js: ${process.version}`,
  ]
}
