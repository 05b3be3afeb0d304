// What is measured of many domains: one function each. All leave the machine without domains.

import { proportionalMiB } from '#hosts/node/testing/resident-memory.ts';
import { wait } from '#hosts/node/testing/wait.ts';
import { median } from '../suite/results.ts';
import type { Daemon } from '../../tests/daemon/daemon-process.ts';
import { boot, type Busy, busyDomains, busyProcesses, rateInTurn, warm } from './busy.ts';
import { cpuSeconds } from './process-usage.ts';
import { busyMachines } from './qemu.ts';

const quantile = (values: readonly number[], q: number): number => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] as number;
/** Domains that are made before creation is measured: the first one on each CPU compiles what all of them share. */
const WARM_UP = 8;
const IDLE_SECONDS = 20, SETTLE_SECONDS = 120, AT_A_TIME = 4, WARM_UP_SECONDS = 10, SHARE_SECONDS = 20, PRESSES = 100;

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `d${i}`);
async function destroyAll(daemon: Daemon): Promise<void> {
  for (const { domid } of await daemon.ask<{ domid: number }[]>({ command: 'list' })) if (domid !== 0) await daemon.ask({ command: 'destroy', domain: String(domid) });
}

export interface Throughput {
  readonly count: number;
  /** lines a second in the first WINDOW seconds: of so many domains on one CPU, and of so many processes of one domain */
  readonly first: { readonly oneCpu: number; readonly processes: number };
  /** once that does not change any more, measured in turn; and of domains on all CPUs */
  readonly processes: number;
  readonly oneCpu: number;
  readonly allCpus: number;
}
/** @param cpuTime seconds are the daemon's processor time, for a machine that is busy with other things: then all CPUs do no more than one */
export async function throughput(daemon: Daemon, count: number, cpus: number, cpuTime: boolean): Promise<Throughput> {
  const seconds = clock(daemon, cpuTime);
  await warmUp(daemon);
  const many = await busyProcesses(daemon, count, 'cpus="0"');
  /** Both until they are steady, one after the other; then in turn. */
  const beside = async (...words: string[]): Promise<{ first: number; inTurn: readonly number[] }> => {
    const busy = await busyDomains(daemon, count, ...words);
    try {
      const first = await warm(busy, seconds, count);
      await busy.pause();
      return { first, inTurn: await rateInTurn([many, busy], seconds) };
    } finally {
      await busy.end();
    }
  };
  try {
    const first = await warm(many, seconds);
    await many.pause();
    const one = await beside('cpus="0"');
    const [processes, oneCpu] = one.inTurn as [number, number];
    if (cpus === 1 || count === 1) return { count, first: { processes: first, oneCpu: one.first }, processes, oneCpu, allCpus: oneCpu };
    const [again, allCpus] = (await beside()).inTurn as [number, number];
    return { count, first: { processes: first, oneCpu: one.first }, processes, oneCpu, allCpus: allCpus * processes / again };
  } finally {
    await many.end();
  }
}
const clock = (daemon: Daemon, cpuTime: boolean): (() => number) => (cpuTime ? () => cpuSeconds(daemon.pid) : () => performance.now() / 1000);
/** What all share is compiled before anything is measured. */
async function warmUp(daemon: Daemon): Promise<void> {
  const first = await busyDomains(daemon, 1);
  await wait(WARM_UP_SECONDS * 1000);
  await first.end();
}

/** A machine full of domains beside as many processes of QEMU. */
export interface Rival {
  readonly count: number;
  /** lines a second on all CPUs, measured in turn */
  readonly qemu: number;
  readonly domains: number;
  /** MiB of memory for each, what is shared counted once: of all processes, and of the daemon as a whole */
  readonly qemuMiB: number;
  readonly domainMiB: number;
}
export async function rival(daemon: Daemon, count: number, cpus: number): Promise<Rival> {
  const seconds = clock(daemon, false);
  await warmUp(daemon);
  const domains = await busyDomains(daemon, count);
  try {
    await warm(domains, seconds, count);
    await domains.pause();
    const domainMiB = proportionalMiB(daemon.pid) / count;
    const machines = await busyMachines(count, cpus);
    try {
      await warm(machines, seconds);
      await machines.pause();
      const qemuMiB = machines.resident() / count;
      const [ours, qemu] = await rateInTurn([domains, machines], seconds) as [number, number];
      return { count, qemu, domains: ours, qemuMiB, domainMiB };
    } finally {
      await machines.end();
    }
  } finally {
    await domains.end();
  }
}

export interface Parallel {
  readonly vcpus: number;
  /** lines a second: of one process on one vCPU, and of as many processes as vCPUs in one domain, on as many CPUs; measured in turn */
  readonly one: number;
  readonly all: number;
  /** in the first WINDOW seconds */
  readonly first: { readonly one: number; readonly all: number };
}
/** @param cpuTime seconds are the daemon's processor time: then all vCPUs together do as much as one if nothing is lost */
export async function parallel(daemon: Daemon, vcpus: number, cpuTime: boolean): Promise<Parallel> {
  await warmUp(daemon);
  const seconds = clock(daemon, cpuTime), both: Busy[] = [], first: number[] = [];
  try {
    for (const count of [1, vcpus]) {
      const busy = await busyProcesses(daemon, count, `vcpus=${count}`);
      both.push(busy);
      first.push(await warm(busy, seconds));
      await busy.pause();
    }
    const [one, all] = await rateInTurn(both, seconds) as [number, number];
    return { vcpus, one, all, first: { one: first[0] as number, all: first[1] as number } };
  } finally {
    for (const busy of both) await busy.end();
  }
}

export interface Creation {
  readonly count: number;
  /** ms for a paused domain: medians of the first and the last tenth */
  readonly first: number;
  readonly last: number;
  /** MiB of memory for each, what they share counted once */
  readonly paused: number;
}
/** @param memory of each, MiB */
export async function creation(daemon: Daemon, count: number, memory: number): Promise<Creation> {
  const create = (name: string): Promise<unknown> => daemon.ask({
    command: 'create', create: { name, memory, vcpus: 1, weight: 256, cap: 0, onPoweroff: 'destroy', onReboot: 'destroy', onCrash: 'destroy', cmdline: '', paused: true },
  });
  for (const name of names(WARM_UP)) await create(name);
  await destroyAll(daemon);
  const before = proportionalMiB(daemon.pid);
  const times: number[] = [];
  for (const name of names(count)) {
    const begin = performance.now();
    await create(name);
    times.push(performance.now() - begin);
  }
  const paused = (proportionalMiB(daemon.pid) - before) / count;
  await destroyAll(daemon);
  const tenth = Math.ceil(count / 10);
  return { count, first: median(times.slice(0, tenth)), last: median(times.slice(-tenth)), paused };
}

export interface Idle {
  readonly count: number;
  /** per cent of a processor that all take together */
  readonly cpu: number;
  /** MiB of memory for each, what they share counted once */
  readonly resident: number;
}
export async function idle(daemon: Daemon, count: number): Promise<Idle> {
  for (const name of names(2)) (await boot(daemon, name)).close(); // what all share is there then
  await destroyAll(daemon);
  await wait(5000);
  const before = proportionalMiB(daemon.pid);
  const all = names(count).values(); // some at a time
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => { for (const name of all) (await boot(daemon, name)).close(); }));
  await wait(SETTLE_SECONDS * 1000); // a domain is watched for a while before it shares its memory
  const [cpu, begin] = [cpuSeconds(daemon.pid), performance.now()];
  await wait(IDLE_SECONDS * 1000);
  const used = (cpuSeconds(daemon.pid) - cpu) / (performance.now() - begin) * 1e5;
  const resident = (proportionalMiB(daemon.pid) - before) / count;
  await destroyAll(daemon);
  return { count, cpu: used, resident };
}

export interface Echo {
  readonly busy: number;
  /** ms */
  readonly median: number;
  readonly p95: number;
}
/** How long a key press takes to come back from an idle domain while others are busy on all CPUs. */
export async function echo(daemon: Daemon, busyCount: number): Promise<Echo> {
  const busy = await busyDomains(daemon, busyCount);
  const console = await boot(daemon, 'idle');
  console.say('stty echo; cat\n');
  await wait(3000);
  const times: number[] = [];
  for (let i = 0; i < PRESSES; i++) {
    const key = String.fromCharCode(97 + i % 26);
    console.heard = '';
    const begin = performance.now();
    console.say(key);
    await console.hear(new RegExp(key));
    times.push(performance.now() - begin);
    await wait(50 + 10 * (i % 7));
  }
  console.close();
  await busy.end();
  await destroyAll(daemon);
  return { busy: busyCount, median: median(times), p95: quantile(times, 0.95) };
}

export interface Share {
  readonly name: string;
  /** parts of one CPU */
  readonly wanted: number;
  readonly got: number;
}
/** Busy domains on one CPU, each with a weight and a cap, and what they get of it. */
export async function shares(daemon: Daemon, setups: readonly { readonly name: string; readonly weight: number; readonly cap: number; readonly wanted: number }[]): Promise<Share[]> {
  for (const { name } of setups) {
    const console = await boot(daemon, name, 'cpus="0"');
    console.say('while :; do :; done\n');
    console.close();
  }
  for (const { name, weight, cap } of setups) await daemon.ask({ command: 'share', domain: name, weight, cap });
  await wait(3000);
  const time = async (): Promise<number[]> => {
    const all = await daemon.ask<{ name: string; time: number }[]>({ command: 'list' });
    return setups.map(({ name }) => all.find((d) => d.name === name)?.time as number);
  };
  const [before, begin] = [await time(), performance.now()];
  await wait(SHARE_SECONDS * 1000);
  const seconds = (performance.now() - begin) / 1000;
  const got = (await time()).map((t, i) => (t - (before[i] as number)) / seconds);
  await destroyAll(daemon);
  return setups.map(({ name, wanted }, i) => ({ name, wanted, got: got[i] as number }));
}
