import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { importFirewall } from '../../agent/import/import-firewall.ts'

const run = promisify(execFile)

/** Functions in the place of the programs, which print how they were called. */
const recorder = `
iptables() { printf '%q ' iptables "$@"; echo; } >&3
iptables-restore() { printf '%q ' iptables-restore "$@"; echo '<<END'; cat; echo END; } >&3
exec 3>&1 >/dev/null
`

function rulesOf(text: string) {
  const { document, notes } = importFirewall(text, { format: 'script', external: ['eth0'] })
  const { rules = [], ...spec } = document.spec
  const lost = notes.filter(({ kind }) => kind === 'lost').map(({ message }) => message)
  return { spec, rules: rules.map(({ name: _name, description: _text, ...rest }) => rest), lost }
}

const port = (number: number | string) => `iptables -A INPUT -p tcp --dport ${number} -j ACCEPT`
const closed = 'iptables -P INPUT DROP'

describe('a script means what bash makes of it', () => {
  test.each([
    ['continue', `for p in 22 80 443; do [ $p = 80 ] && continue; ${port('$p')}; done`],
    ['break', `for p in 22 80 443; do ${port('$p')}; if [ $p = 80 ]; then break; fi; done`],
    ['break of an endless loop', `while true; do ${port(22)}; break; ${port(23)}; done`],
    ['return', `f() { if [ $1 = a ]; then ${port(22)}; return; fi; ${port(23)}; }\nf a`],
    ['a function that answers', `f() { return 1; }\nif f; then ${port(23)}; else ${port(22)}; fi`],
    ['exit', `${port(22)}\nexit 0\n${port(23)}`],
    ['exit of a subshell', `(exit 0)\n${port(22)}\n( ${port(80)}; exit; ${port(23)} )\n${port(443)}`],
    ['variables of a subshell', `P=22\n( P=23 )\n${port('$P')}`],
    ['variables of a function', `P=22\nf() { local P=23; ${port('$P')}; }\nf\n${port('$P')}`],
    ['a variable before a command', `P=22\nP=23 ${port('$P')}\n${port('$P')}`],
    ['a loop over the arguments', `f() { for p; do ${port('$p')}; done; }\nf 22 80`],
    [
      'shift',
      `f() { a=$1; shift; for b in $@; do iptables -A INPUT -s $a -d $b -j ACCEPT; done; }\nf 192.0.2.1 192.0.2.2`,
    ],
    ['shift by two', `f() { shift 2; ${port('$1')}; }\nf 22 23 24`],
    ['arguments that a script sets', `set -- 22 80\nfor p in $@; do ${port('$p')}; done`],
    ['unset', `P=23\nunset P\n${port('${P-22}')}`],
    [
      'the default of an empty variable',
      `P=\nQ=\n${port('${P:-22}')}\niptables -A INPUT -s 192.0.2.1 \${Q-!} -j DROP`,
    ],
    ['functions in the manner of ksh', `function f {\n${port(22)}\n}\nfunction never {\n${port(23)}\n}\nf`],
    [
      'a table that is replaced',
      `${port(23)}\niptables-restore <<E\n*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\nE`,
    ],
    [
      'one that is added to',
      `${port(23)}\niptables-restore -n <<E\n*filter\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\nE`,
    ],
    [
      'a chain that is made anew',
      `iptables -N own\niptables -A own -j ACCEPT\niptables -A INPUT -j own\niptables-restore --noflush <<E\n*filter\n:own - [0:0]\n-A own -p tcp --dport 22 -j ACCEPT\nCOMMIT\nE`,
    ],
    ['a test run', `iptables-restore --test <<E\n*filter\n-A INPUT -p tcp --dport 23 -j ACCEPT\nCOMMIT\nE`],
  ])('%s', async (_, script) => {
    const text = `${closed}\n${script}\n`
    const { stdout } = await run('bash', ['-c', `${recorder}${text}`])
    const { lost, ...meaning } = rulesOf(text)
    expect(lost).toEqual([])
    expect(stdout).toContain('iptables -P INPUT DROP')
    expect(meaning).toEqual({ spec: rulesOf(stdout).spec, rules: rulesOf(stdout).rules })
  })
})

describe('what cannot be told is not carried over, and said so', () => {
  test.each([
    [
      'a pattern',
      `I=eth0\nif [[ $I == eth* ]]; then ${port(22)}; else ${port(23)}; fi`,
      'an "if" whose condition',
    ],
    ['what happens later', `${port(22)}\n(sleep 60; iptables -F) &`, 'in the background'],
    ['a function beside', `f() { sleep 60; iptables -F; }\n${port(22)}\nf &`, 'in the background'],
    ['output that is kept', 'out=$(iptables -A INPUT -s 192.0.2.9 -j DROP 2>&1)', 'its output is taken'],
    ['output that is exported', 'export OUT=`iptables -A INPUT -s 192.0.2.9 -j DROP`', 'its output is taken'],
    ['a trap', 'trap "iptables -F INPUT" EXIT', 'is not followed'],
    ['a variable that is not known any more', `P=23\nexport P=$(cat /etc/port)\n${port('$P')}`, 'uses $P'],
    ['a way out', `[ -f /etc/open ] && exit 0\n${port(22)}`, 'whether it runs'],
    [
      'a round that may be left out',
      `for p in 22 23; do test -e /$p && continue; ${port('$p')}; done`,
      'whether it runs',
    ],
    ['two loops at once', `for a in 1 2; do for b in 1 2; do break 2; done; done`, 'leaves one loop'],
    [
      'what decides is a command',
      `if X=$(cat /x); then ${port(22)}; else ${port(23)}; fi`,
      'an "if" whose condition',
    ],
  ])('%s', (_, script, said) => {
    const { lost, rules } = rulesOf(`${closed}\n${script}\n`)
    expect(lost).toEqual([expect.stringContaining(said)])
    expect(rules).not.toContainEqual(expect.objectContaining({ ports: [23] }))
  })

  test.each([
    ['a guard', '[ "$EUID" = 0 ] || exit 1'],
    ['where a program is', 'IPT=$(command -v iptables) || exit 1'],
    ['what there is', 'before=$(iptables -L INPUT -n | wc -l)'],
  ])('but %s is not worth a word', (_, script) => {
    expect(rulesOf(`${closed}\n${script}\n${port(22)}\n`).lost).toEqual([])
  })
})
