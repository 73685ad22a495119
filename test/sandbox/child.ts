import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A process of the sandbox that answers requests, one JSON a line. It ends with this process at the latest. */
export type Child<Request> = {
  readonly pid: number
  /** Rejects with what the child has to complain of, or when it has ended. */
  ask<T>(request: Request): Promise<T>
  close(): Promise<void>
}

type Waiting = { resolve(value: unknown): void; reject(error: Error): void }

/** Starts a process that runs `serveRequests`. */
export function startChild<Request>(command: string, args: readonly string[]): Child<Request> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
    // Ctrl-C is for the process that made the sandbox, which then ends its hosts.
    detached: true,
  })
  child.stdin.on('error', () => {}) // it has ended, which `ended` tells
  const waiting = new Map<number, Waiting>()
  let lastId = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, value, error } = JSON.parse(line) as { id: number; value?: unknown; error?: string }
    const { resolve, reject } = waiting.get(id) ?? {}
    waiting.delete(id)
    if (error === undefined) resolve?.(value)
    else reject?.(new Error(error))
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const { pid } = child
  if (pid === undefined) throw new Error(`starting a part of the sandbox: ${command} could not be started`)
  return {
    pid,
    async ask<T>(request: Request) {
      lastId += 1
      const id = lastId
      child.stdin.write(`${JSON.stringify({ id, request })}\n`)
      return new Promise<T>((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        void ended.then(() => reject(new Error('the host of the sandbox has ended')))
      })
    },
    async close() {
      child.stdin.end()
      await ended
    },
  }
}
