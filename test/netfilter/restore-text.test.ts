import { expect, test } from 'vitest'
import type { Desired } from '../../agent/netfilter/chain.ts'
import { compareTable } from '../../agent/netfilter/compare.ts'
import { removeText, restoreText, rewriteText } from '../../agent/netfilter/restore-text.ts'
import { parseSavedTable } from '../../agent/netfilter/saved-table.ts'

const chain: Desired = {
  chains: [{ name: 'node-firewall', rules: ['-i lo -j RETURN', '-j DROP'] }],
  jumps: { INPUT: 'node-firewall' },
  sets: [],
}

function tableOf(...input: readonly string[]) {
  const rules = input.map((rule) => `[1:2] -A INPUT ${rule}\n`).join('')
  const ours = '[3:4] -A node-firewall -i lo -j RETURN\n[5:6] -A node-firewall -j DROP\n'
  const text = `*filter\n:INPUT ACCEPT [0:0]\n:cali-INPUT - [0:0]\n:node-firewall - [0:0]\n${rules}[0:0] -A cali-INPUT -j ACCEPT\n${ours}COMMIT\n`
  return parseSavedTable(text, new Map())
}

const refill = [
  ':node-firewall - [0:0]',
  '[3:4] -A node-firewall -i lo -j RETURN',
  '[5:6] -A node-firewall -j DROP',
]
const linesOf = (text: string) => text.trim().split('\n').slice(1, -1)

test('a rewrite keeps counters, and moves no jump past the chains of Calico', () => {
  const table = tableOf('-j cali-INPUT', '-j node-firewall')
  expect(linesOf(rewriteText(chain, table, compareTable(chain, table)))).toEqual(refill)
})

test('jumps are deleted exactly as they were read, and one is put first', () => {
  const table = tableOf('-i eth0 -j node-firewall', '-j node-firewall')
  expect(linesOf(restoreText(chain, table, compareTable(chain, table)))).toEqual([
    '-D INPUT -i eth0 -j node-firewall',
    '-D INPUT -j node-firewall',
    '[1:2] -I INPUT 1 -j node-firewall',
  ])
})

test('removal takes every jump, and then the chain', () => {
  expect(linesOf(removeText(tableOf('-j cali-INPUT', '-j node-firewall')))).toEqual([
    ':node-firewall - [0:0]',
    '-D INPUT -j node-firewall',
    '-X node-firewall',
  ])
})
