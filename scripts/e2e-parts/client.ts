import { once } from 'node:events'
import { execa } from 'execa'

export type Target = { readonly address: string; readonly port: number }

export type Count = { readonly passed: number; readonly refused: number }

/** Somebody who sends packets to nodes from outside of the cluster. */
export type Client = {
  /** Whether a connection can be opened. Silence for 5 s means that it cannot. */
  readonly reaches: (target: Target) => Promise<boolean>
  /** Opens connections to all targets, one after the other and over again, until it is stopped. */
  readonly hammer: (targets: readonly Target[]) => Promise<{ stop(): Promise<Count> }>
}

/** How a script of bash is run where the client is: a program and its arguments. */
export type RunBash = (script: string) => readonly [string, ...string[]]

/** A client that needs no more than bash: it opens connections by itself (bash(1), REDIRECTION, /dev/tcp). */
export function createClient(runBash: RunBash): Client {
  return {
    async reaches(target) {
      const [program, ...args] = runBash(`if timeout 5 bash -c '${opening(target)}'; then echo open; fi`)
      const { stdout } = await execa(program, args, { stdin: 'ignore' })
      return stdout.includes('open')
    },
    async hammer(targets) {
      const [program, ...args] = runBash(hammering(targets))
      const child = execa(program, args, { stdin: 'pipe' })
      // It prints a word when it begins. Should it end instead, waiting for it says why.
      await Promise.race([once(child.stdout, 'data'), child])
      return {
        async stop() {
          child.stdin.end()
          const { stdout } = await child
          const [, passed, refused] = /^(\d+) (\d+)$/m.exec(stdout) ?? []
          if (passed === undefined) throw new Error(`the client said "${stdout}", expected two numbers`)
          return { passed: Number(passed), refused: Number(refused) }
        },
      }
    },
  }
}

/** In a container on the network of kind's nodes, from the image that is there anyway. */
export function inContainer(image: string, network: string): RunBash {
  const docker = ['run', '--rm', '--interactive', '--network', network, '--entrypoint', 'bash', image]
  return (script) => ['docker', ...docker, '-c', script]
}

/** On another host; ssh hands its arguments to a shell there. */
export function overSsh(host: string): RunBash {
  return (script) => ['ssh', '-o', 'BatchMode=yes', host, `bash -c '${script.replaceAll("'", "'\\''")}'`]
}

function opening({ address, port }: Target): string {
  if (!/^[0-9a-fA-F.:]+$/.test(address)) throw new Error(`found "${address}", expected an address`)
  return `: 2>/dev/null <>/dev/tcp/${address}/${port}`
}

/** It goes on while its input is open: that holds through docker and ssh, where signals do not. */
function hammering(targets: readonly Target[]): string {
  const tries = targets.map(
    (target) => `if { ${opening(target)}; } 2>/dev/null; then p=$((p+1)); else r=$((r+1)); fi`,
  )
  const turn = [...tries, 'read -r -t 0.005 _', '[ $? -gt 128 ] || break']
  return ['p=0 r=0', 'echo begun', 'while :; do', ...turn, 'done', 'echo "$p $r"'].join('\n')
}
