import * as z from 'zod'

/*
 * Of the objects of the Prometheus Operator what is used here, strictly.
 * Source: prometheus-operator.dev/docs/api-reference/api (monitoring.coreos.com/v1).
 */

const duration = z.string().regex(/^(0|([0-9]+(ms|s|m|h|d|w|y))+)$/)
const metadata = z.strictObject({
  name: z.string(),
  namespace: z.string(),
  labels: z.record(z.string(), z.string()),
})

const podMonitor = z.strictObject({
  apiVersion: z.literal('monitoring.coreos.com/v1'),
  kind: z.literal('PodMonitor'),
  metadata,
  spec: z.strictObject({
    selector: z.strictObject({ matchLabels: z.record(z.string(), z.string()) }),
    podMetricsEndpoints: z.array(
      z.strictObject({
        port: z.string(),
        path: z.string(),
        interval: duration,
        scrapeTimeout: duration,
        relabelings: z.array(z.strictObject({ sourceLabels: z.array(z.string()), targetLabel: z.string() })),
      }),
    ),
    sampleLimit: z.int().positive(),
  }),
})

const prometheusRule = z.strictObject({
  apiVersion: z.literal('monitoring.coreos.com/v1'),
  kind: z.literal('PrometheusRule'),
  metadata,
  spec: z.strictObject({
    groups: z.array(
      z.strictObject({
        name: z.string(),
        rules: z.array(
          z.strictObject({
            alert: z.string(),
            expr: z.string(),
            for: duration,
            labels: z.record(z.string(), z.string()),
            annotations: z.record(z.string(), z.string()),
          }),
        ),
      }),
    ),
  }),
})

export const operatorSchemas = [podMonitor, prometheusRule]

export type PodMonitor = z.infer<typeof podMonitor>
export type PrometheusRule = z.infer<typeof prometheusRule>
