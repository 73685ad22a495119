/*
 * Runs one program that reads its input, as the agent does, in the network of a process; the arguments are that
 * process, the program and its own.
 */
import { text } from 'node:stream/consumers'
import { createExec } from '../../agent/host/exec.ts'

const [pid, program = '', ...args] = process.argv.slice(2)
await createExec(Number(pid))(program, args, { input: await text(process.stdin) })
