// What a run took, for --stats.

import { PAGE_SIZE, type Capsule } from '#base/capsule.ts';
import type { Domain } from '#hypervisor/domain.ts';

const MIB = 2 ** 20;

export class RunStats {
  private instructions = 0;
  private hypercalls = 0;
  private runningNs = 0;
  /** guest memory that holds anything but zeros, of the last domain */
  private guestBytes = 0;

  /** Counts a domain that has ended. */
  add(domain: Domain, runningNs: number): void {
    for (const v of domain.vcpus) {
      this.instructions += domain.machine.retired(v.cpu);
      this.hypercalls += v.hypercallCount;
    }
    this.runningNs += runningNs;
    this.guestBytes = usedBytes(domain.capsule);
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

/** The bytes of the pages of guest memory that were written to, as far as zeros do not hide it. */
function usedBytes(capsule: Capsule): number {
  const words = PAGE_SIZE / 4;
  let pages = 0;
  for (let page = capsule.frames / 4; page < capsule.scratch / 4; page += words) {
    for (let i = page; i < page + words; i++) {
      if (capsule.u32[i] === 0) continue;
      pages++;
      break;
    }
  }
  return pages * PAGE_SIZE;
}
