// What a run took, for --stats.

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

  /** What a domain has behind it before it runs is not counted. */
  begin(domain: Domain): void { this.count(domain, -1); }

  /** Counts a domain that has ended. */
  add(domain: Domain, runningNs: number): void {
    this.count(domain, 1);
    this.runningNs += runningNs;
    this.guestBytes = new TouchedMemory(domain.capsule).look().bytes;
  }

  private count(domain: Domain, sign: number): void {
    const statistics = readStatistics(domain.capsule, domain.vcpus.length, 0);
    this.instructions += sign * total(statistics, 'instructions');
    this.hypercalls += sign * total(statistics, 'hypercalls');
  }

  text(): string {
    const running = this.runningNs / 1e9;
    const { rss } = process.memoryUsage();
    return [
      `instructions  ${this.instructions}`,
      `hypercalls    ${this.hypercalls}`,
      `running       ${running.toFixed(3)} s (${(this.instructions / running / 1e6 || 0).toFixed(1)} million instructions/s)`,
      `elapsed       ${(performance.now() / 1000).toFixed(3)} s since the process started`,
      `resident      ${(rss / MIB).toFixed(1)} MiB, ${((rss - this.guestBytes) / MIB).toFixed(1)} MiB of it not the guest's memory`,
    ].join('\n');
  }
}
