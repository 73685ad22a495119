#!/usr/bin/env node
import { runProgram } from './cli/program.ts'

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort())

// Whoever reads has seen enough. What is told beside the result is not missed: the exit code still has to come.
process.stdout.on('error', (error) => onClosed(error, () => stop.abort()))
process.stderr.on('error', (error) => onClosed(error, () => {}))

process.exitCode = await runProgram(process.argv, {
  stop: stop.signal,
  onHangup: (callback) => void process.on('SIGHUP', callback),
})

function onClosed(error: NodeJS.ErrnoException, act: () => void): void {
  if (error.code !== 'EPIPE') throw error
  act()
}
