// One life of the hostile guest (tests/guests/src/fuzz.c): a domain of its own, run until it dies, has made its calls,
// or has nothing more to wait for; then everything that can be checked from outside is. It has a neighbour that is as hostile
// and that lives as long as it can: they grant pages to
// each other and have channels between them, whose events come late in some lives.

import { VIRQ } from '#abi/xen.ts';
import { stackOf } from '#base/error-text.ts';
import type { Host } from '#base/host.ts';
import { destroyDomain } from '#hypervisor/domain-destroy.ts';
import { DomainRegistry } from '#hypervisor/domain-registry.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { deliver } from '#hypervisor/event-peer.ts';
import { sendVcpuVirq } from '#hypervisor/event-port.ts';
import { relinquishMemory } from '#hypervisor/mm/domain-mm.ts';
import { runDomain, skipToNextTimer } from '#hypervisor/sched.ts';
import { clockOf } from '#hypervisor/time.ts';
import { nextTimer } from '#hypervisor/timer.ts';
import { TRACE_KIND, TraceRing } from '#hypervisor/trace-ring.ts';
import { traceText } from '#hypervisor/trace-text.ts';
import { createDomain, type CreatedDomain } from '#toolstack/lifecycle/create-domain.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { auditDomain } from '#hypervisor/testing/audit-domain.ts';
import { auditTranslations } from './audit-translations.ts';
import { Canaries } from './canaries.ts';
import type { Life } from './series.ts';

/** The neighbours' seeds are higher by so much. */
const NEIGHBOURS = 1_000_003;
/** Virtual time of a turn, in ns, and of a whole life. */
const TURN = 200_000, LIFETIME = 60_000_000;
/** A turn that takes the host longer than this counts as a hang, and a life that takes longer is ended; in ms. */
const TURN_LIMIT = 5000, LIFE_LIMIT = 10_000;
/** Of how many records, and then hypercalls, of both domains is told when something is wrong. */
const REMEMBERED = 256, TOLD = 16;

/** A host whose clocks go by themselves, each time that they are looked at: the same in every run. */
function countingHost(seed: number): Host {
  let now = 0;
  return { now: () => (now += 1000 + (seed % 7) * 500), wallClock: () => now, random: (into) => { into.fill(seed); }, log: () => {} };
}

/** @param calls the life ends when so many hypercalls were made; its outcome: a line of the crash report, the shutdown reason, or what it waited for */
export function live(kernel: Uint8Array, seed: number, calls: number): Life {
  const host = countingHost(seed);
  const problems: string[] = [];
  let end = '';
  const store = new Store();
  const peers = new DomainRegistry();
  const create = (domid: number, ofItsOwn: number): CreatedDomain => createDomain({
    domid, name: `hostile${domid}`, uuid: `00000000-0000-0000-0000-00000000000${domid}`, kernel, commandLine: `seed=${ofItsOwn}`,
    memory: 5 + ofItsOwn % 4, vcpus: 1 + ofItsOwn % 3, deterministic: seed % 5 !== 0, peers,
  }, host, store, () => {});
  const created = create(1, seed);
  const { domain } = created;
  const other = create(2, seed + NEIGHBOURS);
  const neighbour = other.domain;
  const mail: (() => void)[] = [];
  if (seed % 3 === 0) for (const d of [domain, neighbour]) d.notify = (port, from) => { mail.push(() => deliver(d, port, from)); };
  const ring = new TraceRing(REMEMBERED);
  for (const d of [domain, neighbour]) d.trace.keep(ring);
  const canaries = [domain, neighbour].map((d) => new Canaries(d));
  const made = (): number => domain.vcpus.reduce((n, v) => n + v.hypercallCount, 0);
  try {
    const born = performance.now();
    for (let time = 0, turn = 0; end === ''; time += TURN, turn++) {
      const start = performance.now();
      for (const message of mail.splice(0)) message();
      if (!neighbour.isShutDown && runDomain(neighbour, TURN).reason === 'blocked' && !sleep(other)) wake(other, turn);
      const { reason } = runDomain(domain, TURN);
      const took = performance.now() - start;
      if (took > TURN_LIMIT) problems.push(`a turn took ${Math.round(took)} ms`);
      if (reason === 'shutdown') end = domain.crashText?.split('\n', 1)[0] ?? `shut down, reason ${domain.shutdownReason}`;
      else if (reason === 'blocked' && !sleep(created) && !wake(created, turn)) end = 'blocked for ever';
      else if (time >= LIFETIME || performance.now() - born > LIFE_LIMIT) end = 'out of time';
      if (end === '' && made() >= calls) end = 'calls made';
      if (turn % 8 === 0) problems.push(...auditTranslations(domain), ...auditTranslations(neighbour));
      if (problems.length > 0) end ||= 'stopped';
    }
    for (const { crashText } of [domain, neighbour]) if (crashText?.includes('error in the hypervisor')) problems.push(crashText);
    const both = [domain, neighbour];
    problems.push(...both.flatMap((d) => [...auditTranslations(d), ...auditDomain(d)]), ...canaries.flatMap((c) => c.check()));
    const [first, last] = (seed % 2 === 0 ? both : both.toReversed()) as [Domain, Domain];
    relinquishMemory(first);
    problems.push(...both.flatMap((d) => auditDomain(d)));
    destroyDomain(first);
    problems.push(...auditDomain(last));
    relinquishMemory(last);
    problems.push(...auditDomain(last));
    destroyDomain(last);
    if (peers.all().length > 0) problems.push(`after both have ended, domain ${peers.all()[0]?.domid} is in use`);
  } catch (error) {
    problems.push(`exception on the host: ${stackOf(error)}`);
  }
  const told = problems.length === 0 ? [] : [...problems.slice(0, 8), `${end}; the latest hypercalls:`, ...latestCalls(ring)];
  return { steps: made(), problems: told, outcomes: new Map([[end.replace(/\b[0-9a-f]{8,16}\b|0x[0-9a-f]+/g, '…'), 1]]) };
}

function latestCalls(ring: TraceRing): string[] { return [...ring.records()].filter((r) => r.kind === TRACE_KIND.hypercall).slice(-TOLD).map(traceText); }

/** Waits for the next timer. False when there is none. */
function sleep({ domain }: CreatedDomain): boolean {
  const clock = clockOf(domain);
  return clock.deterministic ? skipToNextTimer(domain) : nextTimer(domain) < clock.now() + LIFETIME;
}

/** Types at the console of a guest that waits, and sends it a timer interrupt. False when that wakes nobody. */
function wake({ console, domain }: CreatedDomain, turn: number): boolean {
  console.feed(Uint8Array.of(turn, 10, 65));
  for (const v of domain.vcpus) sendVcpuVirq(v, VIRQ.TIMER);
  return domain.vcpus.some((v) => v.runnable);
}
