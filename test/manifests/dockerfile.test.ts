import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './kustomize.ts'

const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
const lines = dockerfile.replaceAll(/\s*\\\n\s*/g, ' ').split('\n')
const instructions = (name: string) => lines.filter((line) => line.startsWith(`${name} `))

/** What is copied from the checkout, not from another stage. */
const sources = instructions('COPY')
  .filter((line) => !line.includes('--from='))
  .flatMap((line) => line.split(' ').slice(1, -1))

describe('the Dockerfile', () => {
  it.each(sources)('copies %s, which is there and not kept out of the build', (source) => {
    expect(existsSync(join(root, source))).toBe(true)
    const kept = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n')
    expect(kept).toContain(`!${source}`)
  })

  it('pins its bases to an exact version', () => {
    for (const line of instructions('FROM')) expect(line).toMatch(/ node:24\.\d+\.\d+-trixie-slim(@| |$)/)
  })

  it('builds and runs with the same Node.js', () => {
    const bases = instructions('FROM').map((line) => /node:\S+/.exec(line)?.[0])
    expect(new Set(bases).size).toBe(1)
  })
})
