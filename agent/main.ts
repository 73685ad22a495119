#!/usr/bin/env node
import { runProgram } from './cli/program.ts'

const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort())

process.exitCode = await runProgram(process.argv, {
  stop: stop.signal,
  onHangup: (callback) => void process.on('SIGHUP', callback),
})
