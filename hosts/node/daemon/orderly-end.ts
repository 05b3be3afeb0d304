// How the daemon ends when it is told to: the guests are asked to power off, and the daemon waits for them, but not for ever.
// A second signal ends the waiting.

import type { Domains, Log } from '#toolstack/lifecycle/domains.ts';

/** A signal that comes sooner after the first is the same one: Ctrl-C reaches the launcher (bin/node.mjs) and the daemon, and the launcher passes it on. */
const SAME_SIGNAL_MS = 500;

export class OrderlyEnd {
  private readonly domains: Domains;
  private readonly seconds: number;
  private readonly done: () => void;
  private readonly log: Log;
  private began: number | undefined;

  /** @param seconds the most to wait @param done called when the machine can be stopped */
  constructor(domains: Domains, seconds: number, done: () => void, log: Log) {
    this.domains = domains;
    this.seconds = seconds;
    this.done = done;
    this.log = log;
  }

  /** To be called for each signal that asks for the end. @returns true for the first */
  signal(): boolean {
    const now = performance.now();
    if (this.began === undefined) {
      this.began = now;
      this.begin();
      return true;
    }
    if (now - this.began > SAME_SIGNAL_MS) this.finish('a second signal');
    return false;
  }

  private begin(): void {
    const { domains } = this;
    domains.isEnding = true;
    domains.onLess = () => { if (this.running().length === 0) this.done(); };
    const asked = this.running();
    if (asked.length === 0 || this.seconds === 0) return this.done();
    this.log(`ending; asked to power off within ${this.seconds} s: ${asked.map((d) => d.spec.name).join(', ')}. Another signal ends them at once`);
    for (const domain of asked) domains.control(domain, 'shutdown', 'poweroff');
    setTimeout(() => this.finish(`${this.seconds} s`), this.seconds * 1000).unref();
  }
  /** Those that can do what they are asked to. */
  private running(): ReturnType<Domains['list']> { return this.domains.list().filter((d) => d.ended === undefined && !d.dying && !d.paused); }
  private finish(after: string): void {
    const left = this.running().map((d) => d.spec.name);
    if (left.length > 0) this.log(`ending after ${after}; these have not powered off: ${left.join(', ')}`, 'warning');
    this.done();
  }
}
