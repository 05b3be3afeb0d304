// The loop that runs one domain on the thread of its toolstack: the guest for a turn, then the host, and sleep when no
// vCPU can run. There is no polling: a sleep ends with the domain's next timer or when somebody calls `wake`.
//
// Under the deterministic clock a blocked domain does not sleep: its time jumps to the next timer. When a person types
// at it (`paced`), it waits that long first, or a prompt would burn the processor and years would pass at it; the same
// run twice was not to be had then anyway.

import type { Domain } from '#hypervisor/domain.ts';
import { runDomain, type RunVcpu, skipToNextTimer } from '#hypervisor/sched.ts';
import { clockOf } from '#hypervisor/time.ts';

/** How a host gives other work its turn, and sleeps. */
export interface Pacer {
  /** resolves when timers, input and output that were due have been seen to */
  turn(): Promise<void>;
  /** resolves after `ns` nanoseconds (Infinity: never), or as soon as `wake` is called */
  sleep(ns: number): Promise<void>;
  /** ends a sleep, or the next one if there is none */
  wake(): void;
}

/** System time that a domain runs before the host has its turn: what a key press or a signal may wait for. */
const TURN_NS = 10_000_000;
/** The same in virtual time, in which an instruction takes a nanosecond and far longer to execute. */
const VIRTUAL_TURN_NS = 1_000_000;

export class DomainLoop {
  private readonly domain: Domain;
  private readonly pacer: Pacer;
  private readonly paced: boolean;
  private readonly runVcpu: RunVcpu | undefined;
  private readonly onIdle: () => void;
  private stopped = false;
  /** host time in ns spent running the guest, in the host's clock */
  runningNs = 0;

  /**
   * @param options.runVcpu a test's, in place of the machine
   * @param options.onIdle called whenever no vCPU can run
   */
  constructor(domain: Domain, pacer: Pacer, options: { readonly paced: boolean; readonly runVcpu?: RunVcpu; readonly onIdle?: () => void }) {
    this.domain = domain;
    this.pacer = pacer;
    this.paced = options.paced;
    this.runVcpu = options.runVcpu;
    this.onIdle = options.onIdle ?? ((): void => {});
  }

  /** Runs until the domain is shut down (true) or `stop` was called (false). */
  async run(): Promise<boolean> {
    const { domain, pacer } = this;
    const clock = clockOf(domain);
    while (!this.stopped) {
      const { reason, nextTimer } = this.runTurn(clock.deterministic ? VIRTUAL_TURN_NS : TURN_NS);
      if (reason === 'shutdown') return true;
      if (reason === 'slice') {
        await pacer.turn();
        continue;
      }
      this.onIdle();
      if (clock.deterministic && !this.paced && nextTimer !== Infinity) await this.jump();
      else await this.sleep(nextTimer - clock.now(), clock.deterministic);
    }
    return false;
  }

  /** Ends `run` before the next turn. */
  stop(): void {
    this.stopped = true;
    this.pacer.wake();
  }

  private runTurn(ns: number): ReturnType<typeof runDomain> {
    const { host } = this.domain;
    const start = host.now();
    const result = runDomain(this.domain, ns, this.runVcpu);
    this.runningNs += host.now() - start;
    return result;
  }

  private async jump(): Promise<void> {
    await this.pacer.turn();
    skipToNextTimer(this.domain);
  }

  private async sleep(ns: number, virtual: boolean): Promise<void> {
    await this.pacer.sleep(ns);
    if (virtual && this.domain.vcpus.every((v) => !v.runnable)) skipToNextTimer(this.domain);
  }
}
