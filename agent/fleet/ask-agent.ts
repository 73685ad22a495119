import * as z from 'zod'
import { detailsSchema } from '../status/details-schema.ts'

const { logging, denied } = detailsSchema.unwrap().shape
const port = z.int().exactOptional()
const text = z.string().exactOptional()

/** What the page `/denied` of an agent says, as `DeniedNews` has it. */
const newsSchema = z.object({
  logging,
  top: denied.unwrap(),
  recent: z.array(
    z.object({
      time: z.string(),
      verdict: z.string(),
      ruleset: text,
      rule: z.string(),
      protocol: text,
      from: text,
      fromPort: port,
      to: text,
      port,
      translated: text,
      icmp: text,
      in: text,
      out: text,
      packets: port,
    }),
  ),
})

export type News = z.infer<typeof newsSchema>

const timeoutMs = 3_000

/** Asks the agent of this host what was denied of late; nothing where none answers, or another program does. */
export async function askAgent(
  { host, port: number }: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<News | undefined> {
  const address = host.includes(':') ? `[${host}]` : host
  try {
    const response = await fetch(`http://${address}:${number}/denied`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
    return newsSchema.safeParse(await response.json()).data
  } catch {
    return undefined
  }
}
