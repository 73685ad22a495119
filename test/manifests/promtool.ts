import { execFileSync } from 'node:child_process'
import { execa } from 'execa'

/** Where promtool is not in the PATH. */
const promtool = process.env['PROMTOOL'] ?? 'promtool'

/** Whether promtool is here. Where it is not, these tests check nothing, and that must be seen. */
export function hasPromtool(): boolean {
  try {
    execFileSync(promtool, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn(
      'SKIPPED: promtool is not installed (Debian: prometheus), so it judged no metric and no alert',
    )
    return false
  }
}

/** What promtool has to say against a page of metrics. */
export async function findPageProblems(page: string): Promise<string> {
  return runPromtool(['check', 'metrics'], { input: page })
}

/** Runs promtool; what it complains of, if it does. */
export async function runPromtool(
  args: readonly string[],
  options: { readonly input?: string; readonly cwd?: string } = {},
): Promise<string> {
  const { exitCode, all } = await execa(promtool, args, { ...options, reject: false, all: true })
  return exitCode === 0 ? '' : all
}
