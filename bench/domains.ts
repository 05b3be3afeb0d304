// npm run bench:domains -- [--domains N] [--cpus N] [--only LIST] [--idle N] [--publish]
//
// Many domains of the default guest on one daemon, a new one for each part: what they get done together, against as many
// processes in one domain; what they cost when they are idle; how long it takes to make one; how soon an idle one answers while
// others are busy; whether weights and caps hold; what two vCPUs of one domain do on two CPUs; and what as many processes of QEMU
// without KVM do. Text, JSON and a chart go to .build/bench. The machine should have nothing else to do.
//
//   --domains N  1, 2, 4 … N domains (128)
//   --counts LIST  so many busy ones, in place of all these
//   --idle N     so many idle and paused domains (as many as --domains)
//   --cpus N     physical CPUs of the daemon (as many as there are processors)
//   --only LIST  of throughput,qemu,creation,idle,echo,shares,smp
//   --keep       the other parts are as they were found last
//   --cpu        compares work for each second of processor time, for a machine that is busy with other things
//   --publish    writes the results into docs/ as well

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus as processors, loadavg, release } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Daemon } from '../tests/daemon/daemon-process.ts';
import { creation, echo, idle, parallel, rival, type Share, shares, throughput } from './domains/measurements.ts';
import { missingQemu } from './domains/qemu.ts';
import { chart, type Results, text } from './domains/report.ts';

const ROOT = resolve(import.meta.dirname, '..');
const OUTPUT = join(ROOT, '.build/bench');
const PARTS = ['throughput', 'qemu', 'creation', 'idle', 'echo', 'shares', 'smp'] as const;
type Part = (typeof PARTS)[number];

/** MiB of a paused domain. */
const MEMORY = 32;
const WEIGHTS = [1, 2, 4, 8], CAPS = [10, 20, 40];

async function each<T>(counts: readonly number[], what: string, measure: (count: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (const count of counts) {
    const begin = performance.now();
    results.push(await measure(count));
    console.error(`${what}, ${count}: ${((performance.now() - begin) / 1000).toFixed(0)} s: ${JSON.stringify(results.at(-1))}`);
  }
  return results;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      domains: { type: 'string', default: '128' }, counts: { type: 'string' }, idle: { type: 'string' }, cpus: { type: 'string', default: String(availableParallelism()) }, only: { type: 'string', default: PARTS.join() },
      cpu: { type: 'boolean', default: false }, keep: { type: 'boolean', default: false }, publish: { type: 'boolean', default: false },
    },
  });
  const [most, cpus] = [Number(values.domains), Number(values.cpus)];
  const quiet = Number(values.idle ?? most);
  const wanted = (part: Part): boolean => values.only.split(',').includes(part);
  const counts = values.counts?.split(',').map(Number) ?? Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i);
  const few = [...new Set([1, Math.ceil(most / 8), most])];
  const sum = WEIGHTS.reduce((a, b) => a + b, 0);
  const weighed = WEIGHTS.map((w) => ({ name: `weight${w}`, weight: w * 256, cap: 0, wanted: w / sum }));
  const capped = CAPS.map((cap) => ({ name: `cap${cap}`, weight: 256, cap, wanted: cap / 100 }));
  const last = values.keep ? lastResults() : {};
  /** What a part gives, on a daemon of its own: what others have left behind is no part of it. */
  const part = async <K extends keyof Results>(name: Part, key: K, measure: (daemon: Daemon) => Promise<Results[K]>): Promise<Results[K]> => {
    if (!wanted(name)) return last[key] ?? [] as unknown as Results[K];
    const daemon = new Daemon(['--cpus', String(cpus)]);
    await daemon.start();
    try {
      return await measure(daemon);
    } finally {
      await daemon.remove();
    }
  };
  const sharesOf = async (daemon: Daemon, setups: typeof weighed): Promise<Share[]> => (await each([setups.length], 'shares', () => shares(daemon, setups)))[0] as Share[];
  const rivals = [...new Set([...few, Math.ceil(most / 2)])].sort((a, b) => a - b);
  report({
    about: { date: new Date().toISOString().slice(0, 10), processor: processors()[0]?.model, host: `Linux ${release()}`, node: `Node ${process.versions.node}`, cpus: `${cpus} CPUs`, ...(values.cpu ? { clock: 'seconds of processor time' } : {}), load: `load ${loadavg()[0]?.toFixed(1)}` },
    cpus, perCpu: values.cpu,
    creation: await part('creation', 'creation', (daemon) => each([quiet], 'creation', (count) => creation(daemon, count, MEMORY))),
    idle: await part('idle', 'idle', (daemon) => each([quiet], 'idle', (count) => idle(daemon, count))),
    weights: await part('shares', 'weights', (daemon) => sharesOf(daemon, weighed)),
    caps: await part('shares', 'caps', (daemon) => sharesOf(daemon, capped)),
    echo: await part('echo', 'echo', (daemon) => each(few, 'echo', (count) => echo(daemon, count))),
    parallel: cpus > 1 ? await part('smp', 'parallel', (daemon) => each([2], 'smp', (vcpus) => parallel(daemon, vcpus, values.cpu))) : [],
    rivals: await part('qemu', 'rivals', (daemon) => each(rivals.filter(isPossible), 'QEMU', (count) => rival(daemon, count, cpus))),
    throughput: await part('throughput', 'throughput', (daemon) => each(counts, 'throughput', (count) => throughput(daemon, count, cpus, values.cpu))),
  }, values.publish);
}

function lastResults(): Partial<Results> {
  const file = join(OUTPUT, 'domains.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) as Results : {};
}
function isPossible(count: number): boolean {
  const missing = missingQemu(count);
  if (missing !== undefined) console.error(`QEMU, ${count}: left out: ${missing}`);
  return missing === undefined;
}
function report(results: Results, publish: boolean): void {
  mkdirSync(OUTPUT, { recursive: true });
  const files: Readonly<Record<string, string>> = {
    'domains.txt': text(results), 'domains.json': `${JSON.stringify(results, undefined, 1)}\n`, ...(results.throughput.length > 0 ? { 'domains.svg': chart(results) } : {}),
  };
  process.stdout.write(text(results));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(OUTPUT, name), content);
    if (publish && !name.endsWith('.json')) copyFileSync(join(OUTPUT, name), join(ROOT, 'docs', name));
  }
}

await main();
