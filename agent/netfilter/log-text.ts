export function logMatchAndTarget(verdict: string, ruleset: string, rule: string): string {
  return `-m limit --limit 10/sec --limit-burst 20 -j LOG --log-prefix "${`nf ${verdict} ${ruleset}/${rule}`.slice(0, 27)}: "`
}
