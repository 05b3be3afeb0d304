// What a run took, for --stats.

import { readFileSync } from 'node:fs';
import { type Capsule, isZeroPage, PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { readStatistics, total } from '#hypervisor/statistics.ts';
import { TouchedMemory } from '#hypervisor/touched-memory.ts';

const MIB = 2 ** 20;

export class RunStats {
  private instructions = 0;
  private hypercalls = 0;
  private runningNs = 0;
  /** guest memory that holds anything but zeros, of the last domain */
  private guestBytes = 0;
  /** of its machine: decoded code and TLBs, modules */
  private tables = 0;
  private modules = 0;

  /** What a domain has behind it before it runs is not counted. */
  begin(domain: Domain): void { this.count(domain, -1); }

  /** Counts a domain that has ended. */
  add(domain: Domain, runningNs: number): void {
    this.count(domain, 1);
    this.runningNs += runningNs;
    this.guestBytes = new TouchedMemory(domain.capsule).look().bytes;
    this.tables = scratchBytes(domain.capsule);
    this.modules = domain.machine.statistics().moduleBytes;
  }

  private count(domain: Domain, sign: number): void {
    const statistics = readStatistics(domain.capsule, domain.vcpus.length, 0);
    this.instructions += sign * total(statistics, 'instructions');
    this.hypercalls += sign * total(statistics, 'hypercalls');
  }

  text(): string {
    const running = this.runningNs / 1e9;
    const { rss } = process.memoryUsage(), machineCode = machineCodeBytes();
    return [
      `instructions  ${this.instructions}`,
      `hypercalls    ${this.hypercalls}`,
      `running       ${running.toFixed(3)} s (${(this.instructions / running / 1e6 || 0).toFixed(1)} million instructions/s)`,
      `elapsed       ${(performance.now() / 1000).toFixed(3)} s since the process started`,
      `resident      ${(rss / MIB).toFixed(1)} MiB, ${((rss - this.guestBytes) / MIB).toFixed(1)} MiB of it not the guest's memory`,
      `code          ${machineCode === undefined ? '' : `${(machineCode / MIB).toFixed(1)} MiB of machine code, `}${(this.modules / MIB).toFixed(1)} MiB of modules that it is made from, ${(this.tables / MIB).toFixed(1)} MiB of decoded code and TLBs`,
    ].join('\n');
  }
}

/** Bytes of a capsule's scratch in pages that hold anything. */
function scratchBytes(capsule: Capsule): number {
  let bytes = 0;
  for (let at = capsule.scratch; at + PAGE_SIZE <= capsule.u8.length; at += PAGE_SIZE) if (!isZeroPage(capsule, at)) bytes += PAGE_SIZE;
  return bytes;
}

/** Resident bytes of what V8 has compiled, JavaScript's too: memory that is executable and no file's (proc(5), smaps). Undefined where nobody tells. */
function machineCodeBytes(): number | undefined {
  try {
    let kib = 0, counts = false;
    for (const line of readFileSync('/proc/self/smaps', 'latin1').split('\n')) {
      const mapping = /^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ (\d+)/.exec(line);
      if (mapping) counts = (mapping[1] as string)[2] === 'x' && mapping[2] === '0';
      else if (counts && line.startsWith('Rss:')) kib += Number(/\d+/.exec(line)?.[0]);
    }
    return kib * 1024;
  } catch {
    return undefined;
  }
}
