import * as z from 'zod'
import type { Program } from '../bypass/dataplane.ts'
import { CommandError } from './exec.ts'
import type { Exec } from './exec.ts'

/** A network interface, and what stands in the way of packets at it. */
export type Link = {
  readonly index: number
  readonly name: string
  readonly kind?: string
  readonly xdp: readonly string[]
  /** The interface that this one is a port of. */
  readonly master?: string
  /** The interface that this one sends through. */
  readonly lower?: string
}

/**
 * Reads the interfaces of the namespace, with the XDP programs at them.
 *
 * @throws {CommandError} when ip(8) fails
 */
export async function readLinks(exec: Exec): Promise<readonly Link[]> {
  const { stdout } = await exec('ip', ['-json', '-details', 'link', 'show'])
  return parse(linkList, stdout, 'ip').map(({ ifindex, ifname, linkinfo, xdp, master, link }) => ({
    index: ifindex,
    name: ifname,
    ...(linkinfo?.info_kind === undefined ? {} : { kind: linkinfo.info_kind }),
    xdp: (xdp?.attached ?? []).map(({ prog }) => prog?.name ?? ''),
    ...(master === undefined ? {} : { master }),
    // The other end of a cable is not below this one.
    ...(link === undefined || linkinfo?.info_kind === 'veth' ? {} : { lower: link }),
  }))
}

const linkList = z.array(
  z.object({
    ifindex: z.number(),
    ifname: z.string(),
    master: z.string().optional(),
    link: z.string().optional(),
    linkinfo: z.object({ info_kind: z.string().optional() }).optional(),
    xdp: z
      .object({
        attached: z
          .array(z.object({ prog: z.object({ name: z.string().optional() }).optional() }))
          .optional(),
      })
      .optional(),
  }),
)

/**
 * The named interfaces and those that packets come through before them: ports of a bond, what a VLAN stands on.
 *
 * @param names with `+` at the end for any ending
 */
export function throughWhich(names: readonly string[], links: readonly Link[]): readonly Link[] {
  const isNamed = (link: string) =>
    names.some((name) => (name.endsWith('+') ? link.startsWith(name.slice(0, -1)) : link === name))
  const chosen = new Set(links.map(({ name }) => name).filter(isNamed))
  for (let before = -1; before !== chosen.size;) {
    before = chosen.size
    for (const { name, master, lower } of links) {
      if (master !== undefined && chosen.has(master)) chosen.add(name)
      if (lower !== undefined && chosen.has(name)) chosen.add(lower)
    }
  }
  return links.filter(({ name }) => chosen.has(name))
}

export type Programs = {
  readonly programs: readonly Program[]
  /** Interfaces whose tcx links this process is not allowed to ask for. */
  readonly unseen: readonly string[]
}

/**
 * Reads which BPF programs see what comes in on these interfaces: XDP, classifiers of tc(8), and tcx links. Names of
 * programs take CAP_SYS_ADMIN; without it those of XDP and tcx are empty.
 *
 * @throws {CommandError} when a command fails
 */
export async function readPrograms(exec: Exec, links: readonly Link[]): Promise<Programs> {
  const xdp = links.flatMap(({ name, xdp: programs }) =>
    programs.map((program) => ({ interface: name, hook: 'xdp' as const, name: program })),
  )
  if (links.length === 0) return { programs: xdp, unseen: [] }
  const [tc, tcx] = await Promise.all([readFilters(exec, links), readTcx(exec, links)])
  return { programs: [...xdp, ...tc, ...tcx.programs], unseen: tcx.unseen }
}

/** tc(8) prints one list for each interface, in the order it was asked; an empty one where there is no filter. */
async function readFilters(exec: Exec, links: readonly Link[]): Promise<Program[]> {
  const input = links.map(({ name }) => `filter show dev ${name} ingress\n`).join('')
  const { stdout } = await exec('tc', ['-json', '-force', '-batch', '-'], { input })
  const answers = stdout.split('\n').filter((line) => line.trim() !== '')
  return answers.flatMap((line, at) =>
    parse(filterList, line, 'tc').flatMap(({ kind, options }) =>
      kind !== 'bpf' || options === undefined
        ? []
        : [
            {
              interface: links[at]?.name ?? '',
              hook: 'tc' as const,
              name: options.prog?.name ?? options.bpf_name ?? '',
            },
          ],
    ),
  )
}

const filterList = z.array(
  z.object({
    kind: z.string().optional(),
    options: z
      .object({
        bpf_name: z.string().optional(),
        prog: z.object({ name: z.string().optional() }).optional(),
      })
      .optional(),
  }),
)

/** Number of the system call bpf(2), by `process.arch`. */
const bpfCalls: Readonly<Partial<Record<string, number>>> = {
  x64: 321,
  arm64: 280,
  riscv64: 280,
  s390x: 351,
  ppc64: 361,
}

async function readTcx(exec: Exec, links: readonly Link[]): Promise<Programs> {
  const number = bpfCalls[process.arch]
  if (number === undefined) return { programs: [], unseen: [] }
  const indexes = links.map(({ index }) => String(index))
  const { stdout } = await exec('perl', ['-e', queryTcx, String(number), ...indexes])
  const answers = stdout.split('\n').flatMap((line) => {
    const [, index, answer, name = ''] = /^(\d+) (program|denied) ?(.*)$/.exec(line) ?? []
    const link = links.find((one) => String(one.index) === index)
    return link === undefined ? [] : [{ interface: link.name, answer, name }]
  })
  return {
    programs: answers
      .filter(({ answer }) => answer === 'program')
      .map(({ name, interface: at }) => ({ interface: at, hook: 'tcx' as const, name })),
    unseen: answers.filter(({ answer }) => answer === 'denied').map((link) => link.interface),
  }
}

/**
 * Prints index and program name for each program at BPF_TCX_INGRESS (46), by BPF_PROG_QUERY (16), BPF_PROG_GET_FD_BY_ID
 * (13) and BPF_OBJ_GET_INFO_BY_FD (15); the name stands at byte 64 of struct bpf_prog_info. Only newer versions of
 * iproute2 and bpftool show these programs. Kernels before 6.6 know no such query (EINVAL, 22); a program may go
 * between two calls (ENOENT, 2), and an interface too (ENODEV, 19). Without CAP_SYS_ADMIN names are denied (EPERM, 1),
 * and by seccomp profiles of container runtimes every call.
 */
const queryTcx = `
my $call = shift;
sub bpf { my ($command, $attributes) = @_; syscall $call, $command, $attributes, length $attributes }
sub address { unpack "Q", pack "P", $_[0] }
for my $index (@ARGV) {
  my $ids = "\\0" x 256;
  my $query = pack "LLLL Q LL QQQQ", $index, 46, 0, 0, address($ids), 64, 0, 0, 0, 0, 0;
  if (syscall($call, 16, $query, length $query) < 0) {
    next if $! == 22 || $! == 19;
    if ($! == 1) { print "$index denied\\n"; next }
    die "bpf(2): $!\\n";
  }
  for my $id (unpack "L" . unpack("x24 L", $query), $ids) {
    my $fd = bpf(13, pack "LLL", $id, 0, 0);
    if ($fd < 0) {
      next if $! == 2;
      if ($! == 1) { print "$index program\\n"; next }
      die "bpf(2): $!\\n";
    }
    my $info = "\\0" x 80;
    bpf(15, pack "LLQ", $fd, 80, address($info)) >= 0 or die "bpf(2): $!\\n";
    printf "%d program %s\\n", $index, unpack "x64 Z16", $info;
  }
}`

function parse<T>(shape: z.ZodType<T>, json: string, program: string): T {
  try {
    return shape.parse(JSON.parse(json.trim() === '' ? '[]' : json))
  } catch (error) {
    throw new CommandError(`running ${program}: its answer is not the JSON it should be`, { cause: error })
  }
}
