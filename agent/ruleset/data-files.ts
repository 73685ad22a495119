import { basename, dirname, join } from 'node:path'
import type { Cidr } from './address.ts'
import { parseAddressList } from './address-list.ts'
import { mergeCidrs } from './merge-cidrs.ts'
import type { SourceFile } from './parse.ts'
import { nearest } from './problem.ts'
import type { Problem } from './problem.ts'
import { isRulesetName } from './schema.ts'
import { decodeText, largestDataFile } from './text.ts'

/** The address lists that stand beside a Ruleset. Each is parsed once, when the first set names it. */
export type DataFiles = {
  /** The merged networks of a file; none while it cannot be used, which `problems` tells. */
  cidrsOf(name: string): readonly Cidr[]
  /** What is wrong inside a file; nothing for a sound one. */
  problemsOf(name: string): readonly Problem[]
  /** Why a file cannot be had at all. */
  whyNot(name: string): string | undefined
}

/** Finds the data files that a Ruleset at `path` names: they stand in the same folder. */
export function createDataFiles(files: readonly SourceFile[]): (path: string) => DataFiles {
  const parsed = new Map<string, List>()
  return (rulesetPath) => {
    const folder = dirname(rulesetPath)
    const listOf = (name: string): List => {
      const path = join(folder, name)
      const list = parsed.get(path) ?? readList(path, files)
      parsed.set(path, list)
      return list
    }
    return {
      cidrsOf: (name) => listOf(name).cidrs,
      problemsOf: (name) => listOf(name).problems,
      whyNot: (name) => listOf(name).whyNot,
    }
  }
}

type List = {
  readonly cidrs: readonly Cidr[]
  readonly problems: readonly Problem[]
  readonly whyNot?: string
}

function readList(path: string, files: readonly SourceFile[]): List {
  const file = files.find((candidate) => candidate.path === path)
  if (file === undefined) return failed(missing(path, files))
  if ('error' in file) return failed(file.error)
  const text = decodeText(file.bytes, largestDataFile)
  if (typeof text !== 'string') return failed(text.error)
  const { cidrs, problems } = parseAddressList(path, text)
  return { cidrs: mergeCidrs(cidrs), problems }
}

function failed(whyNot: string): List {
  return { cidrs: [], problems: [], whyNot }
}

function missing(path: string, files: readonly SourceFile[]): string {
  const beside = files.map((file) => file.path).filter((other) => dirname(other) === dirname(path))
  const names = beside.map((other) => basename(other)).filter((name) => !isRulesetName(name))
  const guess = nearest(basename(path), names)
  return `found no such file${guess === undefined ? '' : `, expected "${guess}"`}`
}
