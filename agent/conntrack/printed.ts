import * as z from 'zod'
import type { Exec } from '../host/exec.ts'
import { OutsideError } from '../errors.ts'

/**
 * What a program printed, also when it failed on some of many things: routes that are not there, processes that
 * have ended.
 *
 * @throws {OutsideError} when it did not even run
 */
export async function printedBy(
  exec: Exec,
  program: string,
  args: readonly string[],
  input: string,
): Promise<string> {
  try {
    return (await exec(program, args, { input })).stdout
  } catch (error) {
    const failed = error instanceof OutsideError ? ended.safeParse(error.cause) : undefined
    if (failed?.data === undefined) throw error
    return failed.data.stdout
  }
}

const ended = z.object({ exitCode: z.number(), stdout: z.string() })
