// Runs small test guests to their end, on new domains with virtual time: what they wrote to their consoles, and how they ended.

import type { Host } from '#base/host.ts';
import { DomainRegistry } from '#hypervisor/domain-registry.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { deliver } from '#hypervisor/event-peer.ts';
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

const TURN = 1_000_000, MOST_TURNS = 2000;

/** One that is run by turns. */
export class Guest {
  readonly domain: Domain;
  private output = '';
  private readonly log: string[] = [];
  private longestTurn = 0;

  constructor(kernel: Uint8Array, domid: number, options: GuestOptions, peers = new DomainRegistry()) {
    const host: Host = { now: () => 0, wallClock: () => 0, random: (into) => { into.fill(0x5a); }, log: (_level, message) => { this.log.push(message); } };
    this.domain = createDomain({
      domid, name: 'test', uuid: '00000000-0000-0000-0000-000000000001', kernel, commandLine: options.commandLine ?? '',
      memory: options.memory ?? 8, vcpus: options.vcpus ?? 1, deterministic: true, compileAfter: options.compileAfter, peers,
    }, host, new Store(), (bytes) => { this.output += String.fromCharCode(...bytes); }).domain;
  }

  /** @param ns of virtual time */
  turn(ns = TURN): ReturnType<typeof runDomain>['reason'] {
    const start = performance.now();
    const { reason } = runDomain(this.domain, ns);
    this.longestTurn = Math.max(this.longestTurn, performance.now() - start);
    return reason;
  }
  get result(): GuestRun {
    const { domain, output, log, longestTurn } = this;
    return { domain, output, log, longestTurn };
  }
}

/** @throws Error when the guest does not end in time, or blocks for ever */
export function runGuest(kernel: Uint8Array, options: GuestOptions = {}): GuestRun {
  const guest = new Guest(kernel, 1, options);
  const limit = options.timeLimit ?? 2e9;
  for (let time = 0; time < limit; time += TURN) {
    const reason = guest.turn();
    if (reason === 'shutdown') return guest.result;
    if (reason === 'blocked' && !skipToNextTimer(guest.domain)) throw new Error(`the guest blocked for ever; it had written:\n${guest.result.output}`);
  }
  throw new Error(`the guest did not end; it had written:\n${guest.result.output}`);
}

/**
 * Runs domains 1, 2, … that see each other, by turns.
 * @param commandLines one for each
 * @param late an event for another domain arrives when that has its turn
 * @throws Error when nobody can run any more and not all have ended, or they do not end in time
 */
export function runPeers(kernel: Uint8Array, commandLines: readonly string[], late = false): GuestRun[] {
  const peers = new DomainRegistry();
  const guests = commandLines.map((commandLine, i) => new Guest(kernel, i + 1, { commandLine }, peers));
  const mail = new Map<Guest, (() => void)[]>(guests.map((guest) => [guest, []]));
  if (late) for (const guest of guests) guest.domain.notify = (port, from) => { mail.get(guest)?.push(() => deliver(guest.domain, port, from)); };
  const running = new Set(guests);
  for (let turns = 0; running.size > 0; turns++) {
    let moved = false;
    for (const guest of running) {
      for (const message of mail.get(guest)?.splice(0) ?? []) message();
      if (!guest.domain.vcpus.some((v) => v.runnable)) continue;
      moved = true;
      if (guest.turn() === 'shutdown') running.delete(guest);
    }
    if (!moved || turns > MOST_TURNS) throw new Error(`${moved ? 'they do not end' : 'nobody can run'}; they had written:\n${guests.map((guest) => guest.result.output).join('\n')}`);
  }
  return guests.map((guest) => guest.result);
}
