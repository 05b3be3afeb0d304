// Runs the programs of bench/programs in one engine after the other: see HELP.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildPrograms, BUILDS, firstOf, initramfs, MissingError } from './suite/build.ts';
import { chart } from './suite/chart.ts';
import { type Engine, findEngines, type Work } from './suite/engines.ts';
import type { Measurement } from './suite/measurement.ts';
import { complaintsOf, type EngineName, type RowName, summarise } from './suite/results.ts';
import { table } from './suite/table.ts';

const ROOT = resolve(import.meta.dirname, '..');
const OUTPUT = join(ROOT, '.build/bench');
const PYTHON = '/usr/bin/python3';
const HELP = `npm run bench -- [options]

Runs the programs of bench/programs on this machine, in QEMU without KVM, in v86 and in a Xenith domain, in turn, and writes
medians and ratios: text to standard output; text, JSON and a chart into .build/bench. Installs nothing, and leaves out an
engine with a note of what it needs when that is not there. For v86, a 32-bit machine, that is the npm package v86, the
packages seabios and gcc-multilib for its BIOS and a 32-bit build of the programs, and what bench/suite/fetch-i386.sh
fetches; it runs no Python. Debian's Xen in QEMU (bench/suite/fetch-xen.sh) is slow, so it runs only when --engines names it.

  --runs N          so many runs of each engine (3)
  --passes N        so many passes of each row in a run (2): the first meets code that has not run yet, the others do not
  --rows REGEX      only the rows whose name or group matches
  --engines LIST    of native,qemu,xen,v86,xenith (all but xen)
  --cpu             compares processor time instead of time as it passes, for a machine that is busy with other things
  --publish         writes the results into docs/ as well
`;

type Bits = Engine['bits'];
type Runs = Map<EngineName, Measurement[]>;

/** The rows of a build. One for a machine of 32 bits, which this one may not execute, has those of the other's whose names are in it. */
function rowsIn(folder: string, bits: Bits, pattern: RegExp, python: string | undefined): RowName[] {
  const program = readFileSync(join(folder, 'bin/rows'), 'latin1');
  const lines = execFileSync(join(OUTPUT, 'root64/bin/rows'), ['--list'], { encoding: 'utf8' }).trim().split('\n')
    .filter((line) => bits === 64 || program.includes(`${line.split(' ')[0]}\0`));
  const rows = lines.map((line): RowName => ({ name: line.split(' ')[0] as string, group: line.split(' ')[1] as string }));
  return rows.filter(({ name, group }) => (pattern.test(name) || pattern.test(group)) && (group !== 'python' || python !== undefined));
}

/** Compiles the programs and packs what a guest boots. */
function prepare(bits: Bits, pattern: RegExp, passes: number, python: string | undefined): Work {
  const folder = join(OUTPUT, `root${bits}`), initrd = join(OUTPUT, `initramfs${bits}.cpio`);
  buildPrograms(folder, BUILDS[bits]);
  writeFileSync(initrd, initramfs(folder, python));
  const kernel = firstOf(globSync(BUILDS[bits].kernels), 'Debian\'s cloud kernel is missing: run tests/stock/fetch.sh');
  return { folder, kernel, initrd, rows: rowsIn(folder, bits, pattern, python), passes };
}

/** Every engine in turn, beginning with another one in each run. */
async function measure(engines: readonly Engine[], works: ReadonlyMap<Bits, Work>, count: number): Promise<Runs> {
  const runs: Runs = new Map(engines.map((engine) => [engine.name, []]));
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < engines.length; j++) {
      const engine = engines[(i + j) % engines.length] as Engine, begin = performance.now();
      runs.get(engine.name)?.push(await engine.measure(works.get(engine.bits) as Work));
      console.error(`run ${i + 1} of ${count}: ${engine.name} took ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    }
  }
  return runs;
}

function write(name: string, content: string, publish: boolean): void {
  writeFileSync(join(OUTPUT, name), content);
  if (publish) copyFileSync(join(OUTPUT, name), join(ROOT, 'docs', name));
}

function report(rows: readonly RowName[], runs: Runs, about: Readonly<Record<string, unknown>>, notes: readonly string[], options: { readonly cpu: boolean; readonly publish: boolean }): void {
  const { cpu, publish } = options;
  const results = summarise(rows, runs, cpu ? 'cpu' : 'seconds');
  const complaints = complaintsOf(runs);
  const caption = Object.values(about).flat().join(', ');
  const text = `${caption}\n\n${table(results)}\n${[...notes, ...complaints.map((c) => `WRONG: ${c}`)].map((note) => `${note}\n`).join('')}`;
  const raw = Object.fromEntries([...runs].map(([engine, ms]) => [engine, ms.map((m) => ({ ...m, rows: Object.fromEntries(m.rows) }))]));
  process.stdout.write(text);
  write('benchmark.txt', text, publish);
  write('benchmark.json', `${JSON.stringify({ about, notes, complaints, results, runs: raw }, undefined, 1)}\n`, publish);
  write('benchmark.svg', chart(results, caption), publish);
  if (complaints.length > 0) process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '3' }, passes: { type: 'string', default: '2' }, rows: { type: 'string', default: '' },
      engines: { type: 'string', default: 'native,qemu,v86,xenith' },
      cpu: { type: 'boolean', default: false }, publish: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  process.chdir(ROOT);
  const python = existsSync(PYTHON) ? realpathSync(PYTHON) : undefined;
  const { engines, missing } = findEngines(new Set(values.engines.split(',')));
  mkdirSync(OUTPUT, { recursive: true });
  const pattern = new RegExp(values.rows), passes = Number(values.passes);
  const own = prepare(64, pattern, passes, python);
  const works = new Map<Bits, Work>([[64, own]]);
  if (engines.some(({ bits }) => bits === 32)) works.set(32, prepare(32, pattern, passes, undefined));
  const runs = await measure(engines, works, Number(values.runs));
  const about = {
    date: new Date().toISOString().slice(0, 10), processor: cpus()[0]?.model, host: `Linux ${release()}`, guests: [...works.values()].map((work) => basename(work.kernel)),
    engines: engines.filter((e) => e.name !== 'native').map((e) => e.version), medians: `medians of ${values.runs}${values.cpu ? ' of processor time' : ''}`, load: `load ${loadavg()[0]?.toFixed(1)}`,
  };
  report(own.rows, runs, about, [...missing, ...(python === undefined ? [`Python is left out: there is no ${PYTHON}`] : [])], values);
}

const isUsage = (error: unknown): error is Error => error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
try {
  await main();
} catch (error) {
  if (!(error instanceof MissingError) && !isUsage(error)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
