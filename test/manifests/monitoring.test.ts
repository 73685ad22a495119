import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { parse, stringify } from 'yaml'
import { parseRulesets } from '../../agent/ruleset/parse.ts'
import { withComponents } from './component-overlay.ts'
import { hasKubectl, root } from './kustomize.ts'
import { all, only } from './manifest.ts'
import type { Manifest } from './manifest.ts'
import { hasPromtool, runPromtool } from './promtool.ts'
import { findProblems } from './schema.ts'

const folder = join(root, 'manifests/components/monitoring')
const read = (name: string) => readFile(join(folder, name), 'utf8')

describe.skipIf(!hasKubectl())('an overlay with monitoring', () => {
  let manifests: Manifest[]
  beforeAll(async () => {
    manifests = await withComponents('manifests/overlays/lke', ['monitoring', 'boot-restore'])
  })
  const pod = () => only(manifests, 'DaemonSet').spec?.template
  const container = () => pod()?.spec?.containers[0]

  it('fits the schemas of Kubernetes, with no unknown field', () => {
    expect(manifests.flatMap(findProblems)).toEqual([])
  })

  it('answers at the internal address of the node, and probes on loopback as before', () => {
    expect(container()?.env?.slice(-3)).toEqual([
      { name: 'NODE_FIREWALL_HOST_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
      { name: 'NODE_FIREWALL_METRICS_ADDRESS', value: '$(NODE_FIREWALL_HOST_IP):10269' },
      { name: 'NODE_FIREWALL_METRICS_CLIENTS', value: 'private' },
    ])
    expect(container()?.livenessProbe?.httpGet).toMatchObject({ host: '127.0.0.1', port: 10_268 })
  })

  it('scrapes the port that has the name, of the pods that there are', () => {
    const { selector, podMetricsEndpoints } = only(manifests, 'PodMonitor').spec
    expect(podMetricsEndpoints.map(({ port, path }) => [port, path])).toEqual([['metrics', '/metrics']])
    expect(container()?.ports).toEqual([{ name: 'metrics', containerPort: 10_269, protocol: 'TCP' }])
    expect(pod()?.metadata?.labels).toMatchObject(selector.matchLabels)
  })

  it('lets private networks in, and nobody else, beside the rulesets of the overlay', () => {
    const data = all(manifests, 'ConfigMap').find(
      ({ metadata }) => metadata?.name === 'node-firewall-rules',
    )?.data
    expect(Object.keys(data ?? {}).toSorted()).toEqual(['lke-worker.yaml', 'monitoring.yaml'])
    const text = data?.['monitoring.yaml'] ?? ''
    const { rulesets, problems } = parseRulesets([{ path: 'monitoring.yaml', bytes: Buffer.from(text) }])
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
    const rules = rulesets[0]?.rules.map(({ action, ports, from }) => [action, ports, from])
    const port = [{ first: 10_269, last: 10_269 }]
    expect(rules).toEqual([
      ['accept', port, [{ set: 'private' }]],
      ['reject', port, undefined],
    ])
  })

  it('gives Grafana a dashboard, whose queries ask for metrics that there are', async () => {
    const map = all(manifests, 'ConfigMap').find(
      ({ metadata }) => metadata?.name === 'node-firewall-dashboard',
    )
    expect(map?.metadata?.labels).toMatchObject({ grafana_dashboard: '1' })
    const { panels } = JSON.parse(map?.data?.['node-firewall.json'] ?? '') as {
      panels: { id: number; targets: { expr: string }[] }[]
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const known = await metricNames()
    for (const { expr } of panels.flatMap(({ targets }) => targets)) expect(known).toContain(nameIn(expr))
  })

  it('shows all that becomes of packets, whether a rule or a default decides', async () => {
    const { panels } = JSON.parse(await read('node-firewall.json')) as {
      panels: { targets: { expr: string }[] }[]
    }
    const shown = panels.flatMap(({ targets }) => targets).flatMap(({ expr }) => actionsIn(expr))
    const ofRules = ['accept', 'audit', 'drop', 'limit', 'reject'].map((action) => `rule ${action}`)
    // What a default accepts is what nobody has an opinion about.
    const ofDefaults = ['audit', 'drop', 'reject'].map((action) => `default ${action}`)
    expect(shown.toSorted()).toEqual([...ofDefaults, ...ofRules])
  })
})

describe('alerts', () => {
  it('each has a summary, a description and a section in the docs, and asks for metrics that there are', async () => {
    const [rules, docs, known] = await Promise.all([
      alerts(),
      readFile(join(root, 'docs/alerts.md'), 'utf8'),
      metricNames(),
    ])
    const headings = [...docs.matchAll(/^## (\w+)$/gm)].map(([, heading]) => heading)
    expect(rules.map(({ alert }) => alert)).toEqual(headings)
    for (const { alert, annotations, labels, expr } of rules) {
      expect(annotations.runbook_url).toMatch(new RegExp(`/docs/alerts\\.md#${alert.toLowerCase()}$`))
      expect(annotations.summary.length).toBeGreaterThan(20)
      expect(annotations.description.length).toBeGreaterThan(20)
      expect(['warning', 'critical']).toContain(labels.severity)
      expect([...known, 'up', 'kube_daemonset_status_desired_number_scheduled']).toContain(nameIn(expr))
    }
  })

  it.skipIf(!hasPromtool())('fire when they should, and not before', async () => {
    const here = await mkdtemp(join(tmpdir(), 'node-firewall-alerts-'))
    onTestFinished(() => rm(here, { recursive: true }))
    const { spec } = parse(await read('prometheus-rule.yaml'))
    await writeFile(join(here, 'rules.yaml'), stringify(spec))
    expect(await runPromtool(['check', 'rules', 'rules.yaml'], { cwd: here })).toBe('')
    const tests = await readFile(join(import.meta.dirname, 'alerts.test.yaml'), 'utf8')
    await writeFile(join(here, 'tests.yaml'), tests)
    expect(await runPromtool(['test', 'rules', 'tests.yaml'], { cwd: here })).toBe('')
    const { tests: cases } = parse(tests) as { tests: { alert_rule_test: { alertname: string }[] }[] }
    const tested = new Set(cases.flatMap((one) => one.alert_rule_test.map(({ alertname }) => alertname)))
    expect([...tested].toSorted()).toEqual((await alerts()).map(({ alert }) => alert).toSorted())
  })
})

type Alert = {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: { summary: string; description: string; runbook_url: string }
}

async function alerts(): Promise<Alert[]> {
  return parse(await read('prometheus-rule.yaml')).spec.groups.flatMap(
    ({ rules }: { rules: Alert[] }) => rules,
  )
}

/** The metrics that the table in the docs tells of; another test holds that table against a real page. */
async function metricNames(): Promise<string[]> {
  const docs = await readFile(join(root, 'docs/metrics.md'), 'utf8')
  return [...docs.matchAll(/^\| `(\w+)/gm)].map(([, name = '']) => name)
}

/** The metric a query asks for, without what Prometheus adds to the name of a histogram. */
function nameIn(expr: string): string {
  const [name = ''] = /\b(node_firewall_|process_|kube_|up\b)\w*/.exec(expr) ?? []
  return name.replace(/_bucket$/, '')
}

/** What becomes of the packets that a query counts, and by what. */
function actionsIn(expr: string): string[] {
  const [, kind, actions = ''] =
    /node_firewall_(rule|default)_packets_total\{.*action=~?"([^"]*)"/.exec(expr) ?? []
  return kind === undefined ? [] : actions.split('|').map((action) => `${kind} ${action}`)
}
