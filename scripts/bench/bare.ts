import { spawnSync } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { inNetworkOf } from '../../agent/host/exec.ts'

/**
 * Runs a program in the network of a process with a file as its input, and returns how many ms went by from
 * before it was started until it had ended. Nothing is done beside, which makes it the floor for what the agent does.
 */
export function timeBare(
  targetPid: number,
  { program, args, input, file }: { program: string; args: readonly string[]; input: string; file: string },
): number {
  writeFileSync(file, input)
  const stdin = openSync(file, 'r')
  const command = inNetworkOf(targetPid, program, args)
  const startedAt = performance.now()
  const { status, stderr } = spawnSync(command.file, command.args, { stdio: [stdin, 'ignore', 'pipe'] })
  const took = performance.now() - startedAt
  closeSync(stdin)
  if (status !== 0)
    throw new Error(`running ${program}: exit status ${status}: ${stderr.toString().slice(0, 500)}`)
  return took
}
