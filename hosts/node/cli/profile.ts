// Where a run's time goes, for --profile. V8's own profiler tells the engine's part in it, by which script was at work:
// modules of generated code carry their names. For the guest's part its vCPU stops every SAMPLE instructions, and the time
// since it stopped last goes to where it is then.

import { Session } from 'node:inspector';
import type { Domain } from '#hypervisor/domain.ts';
import { hypercallName } from '#hypervisor/hypercall-names.ts';
import { runVcpu } from '#hypervisor/run.ts';
import { readStatistics, total } from '#hypervisor/statistics.ts';
import type { Vcpu } from '#hypervisor/vcpu.ts';
import type { Symbols } from './symbols.ts';

const SAMPLE = 20_000;
const INTERVAL_US = 500;
const MOST_FUNCTIONS = 30;

/** By what the URL of a script, or the name of a function, begins with or contains: first match. */
const SHARES: readonly (readonly [string, RegExp])[] = [
  ['guest code, compiled', /^wasm:\/\/wasm\/regions/], ['guest code, interpreted', /^wasm:\/\/wasm\/handlers/], ['TLB misses, jumps not foreseen, system calls', /^wasm:\/\/wasm\/runtime/],
  ['decoding', /machine\/(decode\/|engine\/blocks)/], ['compiling', /machine\/(wasm|isa|engine\/(region|hot-code|compile|structure|handlers))|^(Module|Instance|postMessage) /],
  ['instructions finished in TypeScript', /machine\/(fpu|engine\/(slow|segments|guest-memory|operand))/], ['the machine around that', /machine\/|wasm/],
  ['hypervisor', /hypervisor\//], ['devices, xenstore, toolstack', /devices\/|toolstack\//], ['asleep', /^\(idle\)/], ['garbage collection', /^\(garbage/],
];

interface ProfileNode { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string } }
interface CpuProfile { readonly nodes: readonly ProfileNode[]; readonly samples?: readonly number[] | undefined; readonly timeDeltas?: readonly number[] | undefined }

export class RunProfile {
  private readonly symbols: Symbols;
  private readonly session = new Session();
  private readonly places = new Map<string, number>();
  private readonly hypercalls = new Map<string, number>();
  private tlbMisses = 0;
  private regions = 0;
  private sampled = 0;

  constructor(symbols: Symbols) {
    this.symbols = symbols;
    this.session.connect();
    this.session.post('Profiler.enable');
    this.session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    this.session.post('Profiler.start');
  }

  /** Runs a vCPU in steps (hypervisor/sched.ts, RunVcpu). */
  readonly run = (v: Vcpu, budget: number): void => {
    const { machine } = v.domain;
    for (let left = budget; left > 0;) {
      const [start, retired] = [performance.now(), machine.retired(v.cpu)];
      const step = Math.min(left, SAMPLE);
      runVcpu(v, step);
      const done = machine.retired(v.cpu) - retired;
      this.sample(v, performance.now() - start);
      if (done < step / 2) return; // it blocked, or spent the rest in the hypervisor
      left -= done;
    }
  };
  private sample(v: Vcpu, ms: number): void {
    const place = v.cpu.kernelMode ? this.symbols.nameOf(BigInt.asUintN(64, v.cpu.rip)) : 'user mode';
    this.places.set(place, (this.places.get(place) ?? 0) + ms);
    this.sampled += ms;
  }

  /** Counts a domain that has ended. */
  add(domain: Domain): void {
    const statistics = readStatistics(domain.capsule, domain.vcpus.length, 0);
    for (const { byHypercall } of statistics.vcpus) byHypercall.forEach((n, number) => { if (n > 0) this.count(hypercallName(number), n); });
    this.tlbMisses += total(statistics, 'tlbMisses');
    this.regions += statistics.machine.promoted;
  }
  private count(name: string, n: number): void { this.hypercalls.set(name, (this.hypercalls.get(name) ?? 0) + n); }

  /** Ends the profile. */
  async text(): Promise<string> {
    const profile = await new Promise<CpuProfile>((resolve, reject) => {
      this.session.post('Profiler.stop', (error, result) => (error ? reject(error) : resolve(result.profile)));
    });
    this.session.disconnect();
    const hypercalls = [...this.hypercalls].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${String(n).padStart(10)}  ${name}`);
    return [
      'time of the thread that runs the guest', ...shares(engineShares(profile)), '',
      `${this.tlbMisses} TLB misses, ${this.regions} regions compiled`, '', 'hypercalls', ...hypercalls, '',
      "time of the guest's functions, hypercalls that they make included", ...shares(this.places, this.sampled).slice(0, MOST_FUNCTIONS),
    ].join('\n');
  }
}

function engineShares({ nodes, samples = [], timeDeltas = [] }: CpuProfile): Map<string, number> {
  const group = new Map(nodes.map(({ id, callFrame: { functionName, url } }) => {
    const subject = url === '' ? `${functionName} ` : url;
    return [id, SHARES.find(([, pattern]) => pattern.test(subject))?.[0] ?? 'other work of the process'];
  }));
  const times = new Map<string, number>();
  samples.forEach((id, i) => {
    const name = group.get(id) as string;
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  });
  return times;
}
function shares(times: ReadonlyMap<string, number>, total = [...times.values()].reduce((a, b) => a + b, 0)): string[] {
  return [...times].sort((a, b) => b[1] - a[1]).map(([name, time]) => `${(time / total * 100).toFixed(1).padStart(9)}%  ${name}`);
}
