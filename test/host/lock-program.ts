import { spawn } from 'node:child_process'
import { acquireLock } from '../../agent/host/lock.ts'

// Takes the lock at the path it is given, prints what happens, and lets go of it when its input ends.
const [path = '', holder = ''] = process.argv.slice(2)
const print = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`)

const lock = await acquireLock(path, {
  signal: new AbortController().signal,
  onWait: (other) => print({ waitsFor: other }),
  holder,
})
// A command that outlives the agent, as one may that hangs in the kernel.
const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
print({ holds: true, child: child.pid })
process.stdin.resume().on('end', () => {
  child.kill()
  void lock.release().then(() => print({ released: true }))
})
