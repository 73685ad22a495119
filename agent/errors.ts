/**
 * Something outside of this program failed: a command, the kernel, a file. Such a failure is reported and
 * tried again; any other error is a bug, and ends the process.
 */
export class OutsideError extends Error {
  override readonly name: string = 'OutsideError'
  /** A command was ended from outside, as when memory is short: that is no answer, and it is not known what it did. */
  readonly wasKilled: boolean = false
}

/** Whether an error comes from outside of this program, as the errors of system calls do too. */
export function isExpected(error: unknown): error is Error {
  return error instanceof OutsideError || codeOf(error) !== undefined
}

/** What an unknown thrown value has to say. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The code of a system error (`ENOENT`, ...), if it is one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
