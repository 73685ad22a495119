import { createInterface } from 'node:readline'

/**
 * Answers requests of the process that started this one: one JSON a line on stdin, one each on stdout. It ends when
 * stdin does, so that nothing outlives the process that made the sandbox.
 *
 * @param tidyUp is called before it ends.
 */
export function serveRequests(
  handle: (request: unknown) => Promise<unknown>,
  tidyUp: () => Promise<void> = async () => {},
): void {
  const answer = async (line: string) => {
    const { id, request } = JSON.parse(line) as { id: number; request: unknown }
    const result = await handle(request).then(
      (value) => ({ id, value }),
      (error: unknown) => ({ id, error: String(error) }),
    )
    process.stdout.write(`${JSON.stringify(result)}\n`)
  }
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => void answer(line))
  // eslint-disable-next-line unicorn/no-process-exit -- sockets are still open
  const end = () => void tidyUp().finally(() => process.exit(0))
  lines.on('close', end)
  process.stdout.on('error', end)
}
