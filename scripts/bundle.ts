import { mkdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')

/**
 * Bundles the agent with all its packages into ES modules and returns their size in bytes: `outfile`, and beside it
 * what only some commands load, such as the kubeconfig reader. In one file the client alone takes 16 MB more
 * anonymous memory, since a module is compiled whole (measured).
 */
export async function bundle(outfile: string): Promise<number> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['agent/main.ts'],
    outdir: dirname(outfile),
    entryNames: basename(outfile, '.js'),
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Identifiers stay, so that the names in stack traces and of error classes do. The other ways are no better:
    // measured with all packages, resident memory is 100 MB like this, 103 with short names, 110 with keepNames.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'eof',
    // CommonJS packages (pino, yaml) call require for Node's own modules, which an ES module does not have.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);",
    },
    metafile: true,
    logLevel: 'warning',
  })
  await declareModule(dirname(outfile))
  return Object.values(metafile.outputs).reduce((total, output) => total + output.bytes, 0)
}

/** Without a package.json beside it Node.js would parse a .js file as CommonJS first and only then as a module. */
async function declareModule(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), `${JSON.stringify({ type: 'module' })}\n`)
}

if (import.meta.main) {
  const outfile = join(root, 'dist', 'node-firewall.js')
  const bytes = await bundle(outfile)
  console.log(`${outfile}: ${(bytes / 1e6).toFixed(2)} MB`)
}
