// Runs a small test guest to its end, on a new domain with virtual time: what it wrote to its console, and how it ended.

import type { Host } from '#base/host.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { runDomain, skipToNextTimer } from '#hypervisor/sched.ts';
import { createDomain } from '#toolstack/lifecycle/create-domain.ts';
import { Store } from '#toolstack/xenstore/store.ts';

export interface GuestRun {
  readonly domain: Domain;
  /** what the guest wrote to its console */
  readonly output: string;
  /** the hypervisor's log */
  readonly log: readonly string[];
  /** the longest that a turn of 1 ms of virtual time took, in ms of the host */
  readonly longestTurn: number;
}

export interface GuestOptions {
  readonly commandLine?: string;
  readonly vcpus?: number;
  /** as DomainConfig has it */
  readonly compileAfter?: number;
  /** MiB */
  readonly memory?: number;
  /** virtual time after which the guest counts as hung, in ns */
  readonly timeLimit?: number;
}

/** @throws Error when the guest does not end in time, or blocks for ever */
export function runGuest(kernel: Uint8Array, options: GuestOptions = {}): GuestRun {
  const log: string[] = [];
  const host: Host = { now: () => 0, wallClock: () => 0, random: (into) => { into.fill(0x5a); }, log: (_level, message) => { log.push(message); } };
  let output = '';
  const { domain } = createDomain({
    domid: 1, name: 'test', uuid: '00000000-0000-0000-0000-000000000001', kernel, commandLine: options.commandLine ?? '',
    memory: options.memory ?? 8, vcpus: options.vcpus ?? 1, deterministic: true, compileAfter: options.compileAfter,
  }, host, new Store(), (bytes) => { output += String.fromCharCode(...bytes); });
  const limit = options.timeLimit ?? 2e9;
  let longestTurn = 0;
  for (let time = 0; time < limit; time += TURN) {
    const start = performance.now();
    const { reason } = runDomain(domain, TURN);
    longestTurn = Math.max(longestTurn, performance.now() - start);
    if (reason === 'shutdown') return { domain, output, log, longestTurn };
    if (reason === 'blocked' && !skipToNextTimer(domain)) throw new Error(`the guest blocked for ever; it had written:\n${output}`);
  }
  throw new Error(`the guest did not end; it had written:\n${output}`);
}
const TURN = 1_000_000;
