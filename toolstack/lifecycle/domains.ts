// The domains of this machine, as the toolstack in Domain-0 knows them: what libxl does for xl. Domain-0 itself is this
// thread; it has a line in the list and nothing else can be done to it. The others run on physical CPUs, threads of their own
// (cpu-link.ts); what is asked of them takes until the end of a slice.

import { messageOf } from '#base/error-text.ts';
import { machinesOf } from '#machine/engine/siblings.ts';
import type { Host, LogLevel } from '#base/host.ts';
import { MAX_WEIGHT, MIN_WEIGHT } from '#hypervisor/credit.ts';
import { keyHead, unknownKey } from '#hypervisor/debug-keys/debug-keys.ts';
import { DOMAIN_0, mapForeign } from '#hypervisor/management.ts';
import { TraceRing } from '#hypervisor/trace-ring.ts';
import { LocalClient } from '../xenstore/local-client.ts';
import { domainPath } from '../xenstore/path.ts';
import { coreFile } from '../dump/core-file.ts';
import { releaseDomain } from '../xenstore/domain-tree.ts';
import type { Store } from '../xenstore/store.ts';
import { type Affinity, affinityWords, homeCpus, noWay } from './affinity.ts';
import { connectDomain } from './connect-domain.ts';
import { ConsoleLog } from './console-log.ts';
import { CpuDied, CpuLink, type StartCpu, startLater } from './cpu-link.ts';
import type { CpuReport } from './cpu-mail.ts';
import type { Announcement } from './cpu-peers.ts';
import type { DomainEnd } from './domain-end.ts';
import { actionAfter, DomainEndings, type Preserver, startsAnother } from './domain-endings.ts';
import { NO_KEEPER, type DomainKeeper } from './domain-keeper.ts';
import { type DomainSpec, ManagedDomain } from './managed-domain.ts';
import { bestMove, leastLoaded, type Load } from './placement.ts';
import { RestartPolicy } from './restart-policy.ts';
import { capOfEach, gather, machinesFor, spread } from './several-cpus.ts';

/** Told what an administrator wants in the log; without a level it is information. */
export type Log = (line: string, level?: LogLevel) => void;

/** One that the toolstack refuses, for the user: what is wrong and what to do. */
export class DomainError extends Error {}

function checkShare({ weight, cap, maxvcpus }: DomainSpec): void {
  if (!Number.isInteger(weight) || weight < MIN_WEIGHT || weight > MAX_WEIGHT) throw new DomainError(`weight ${weight}: not from ${MIN_WEIGHT} to ${MAX_WEIGHT}`);
  if (!Number.isInteger(cap) || cap < 0 || cap > maxvcpus * 100) throw new DomainError(`cap ${cap}: not from 0 to ${maxvcpus * 100} per cent`);
}
const NOWHERE: ReadonlySet<number> = new Set();
const FIRST_DOMID = 1, LAST_DOMID = 0x7fef;
/** Before a physical CPU is started that has died again and again soon after its start: ms. */
const LONGEST_WAIT_MS = 15_000;
/** ns between two looks at how evenly the CPUs are loaded */
const BALANCE_NS = 500e6;

/** A domain that is being made. */
interface Claim extends Load {
  readonly name: string;
  readonly uuid: string;
  readonly domid: number;
  /** resolves when it is made, or cannot be */
  readonly settled: Promise<void>;
}

/** What the host gives a machine. */
export interface MachineParts extends Preserver {
  /** how many physical CPUs there are */
  readonly cpus: number;
  /** starts the thread of one */
  readonly start: StartCpu;
}

export class Domains {
  readonly store: Store;
  /** told when a domain is gone, and nobody has anything of it, how much memory it had: MiB */
  onReleased: (memory: number) => void = () => {};
  /** remembers what is to be remembered of them */
  keeper: DomainKeeper = NO_KEEPER;
  /** the machine is about to end: nothing is created, and what ends is not started again */
  isEnding = false;
  /** called when a domain has ended, or is gone */
  onLess: () => void = () => {};
  private readonly log: Log;
  private readonly host: Host;
  private readonly parts: MachineParts;
  private readonly links: CpuLink[];
  /** by CPU, when there is another after it has died */
  private readonly restarts: readonly RestartPolicy[];
  private readonly endings: DomainEndings;
  private readonly byId = new Map<number, ManagedDomain>();
  private readonly claims = new Set<Claim>();
  /** domains that the CPUs know, also destroyed ones that others still have pages of */
  private readonly announced = new Map<number, Announcement>();
  private nextDomid = FIRST_DOMID;
  private balanced = 0;
  /** by CPU, what its domains are traced into while a trace is taken */
  private rings: readonly TraceRing[] | undefined;

  constructor(store: Store, host: Host, parts: MachineParts, log: Log) {
    this.store = store;
    this.host = host;
    this.parts = parts;
    this.log = log;
    this.endings = new DomainEndings(this, host, parts, log);
    this.restarts = Array.from({ length: parts.cpus }, () => new RestartPolicy());
    this.links = this.restarts.map((_, id) => this.startCpu(id));
  }

  get cpuCount(): number { return this.links.length; }
  /** Host time in ns, as in ManagedDomain.since. */
  now(): number { return this.host.now(); }
  /** Domain numbers that are not free: also those of destroyed domains that others still have pages of. */
  get numbers(): number[] { return [...this.announced.keys()]; }
  /** By number. */
  list(): ManagedDomain[] { return [...this.byId.values()].sort((a, b) => a.domid - b.domid); }
  /** @param which name or number @throws DomainError */
  get(which: string): ManagedDomain {
    const found = /^\d+$/.test(which) ? this.byId.get(Number(which)) : undefined;
    const domain = found ?? this.list().find((d) => d.spec.name === which);
    if (!domain || domain.dying) throw new DomainError(which === '0' || which === 'Domain-0' ? 'Domain-0 is the machine itself: that cannot be done to it' : `${which}: no such domain`);
    return domain;
  }
  /** The same; one that is being made, at first or in the place of another, is waited for. @throws DomainError */
  async find(which: string): Promise<ManagedDomain> {
    for (let claim; (claim = [...this.claims].find((c) => c.name === which || String(c.domid) === which));) await claim.settled;
    return this.get(which);
  }

  /** Makes a domain and lets it run, unless it is to be paused. @throws DomainError, BuilderError, CpuDied */
  async create(spec: DomainSpec, paused: boolean): Promise<ManagedDomain> {
    const domain = await this.make(spec, paused);
    await this.begin(domain);
    return domain;
  }
  /** Makes a domain, which does not run before `begin`. @param paused nor then @throws DomainError, BuilderError, CpuDied */
  async make(spec: DomainSpec, paused: boolean, console: ConsoleLog = new ConsoleLog()): Promise<ManagedDomain> {
    if (this.isEnding) throw new DomainError('the daemon is about to end: no domain is created any more');
    this.requireFree(spec.name);
    if (this.list().some((d) => d.spec.uuid === spec.uuid) || [...this.claims].some((c) => c.uuid === spec.uuid)) throw new DomainError(`${spec.uuid}: there is a domain of that uuid`);
    checkShare(spec);
    const machines = machinesFor(spec.maxvcpus, this.links.length), allowed = this.homes(spec.affinity, spec.maxvcpus, machines);
    const images = spec.images();
    const link = this.leastLoaded(allowed);
    const { name, uuid, memory, maxmem, vcpus: online, maxvcpus: vcpus, weight, cap } = spec;
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
    const domid = this.newDomid();
    const claim: Claim = { name, uuid, domid, cpu: link.id, load: weight, allowed, settled };
    this.claims.add(claim);
    try {
      const { capsule: shape, wires, origin } = await link.ask('make', { domid, name, uuid, memory, maxmem, vcpus, weight, cap, machines, ...images });
      const domain = this.takeOver(link, domid, () => {
        if (this.isEnding) throw new DomainError('the daemon is about to end');
        const capsule = mapForeign(DOMAIN_0)(shape);
        const taken = new ManagedDomain(domid, spec, capsule, console, allowed, link, paused, origin, this.host.now());
        taken.backEnds = connectDomain(this.store, { domid, name, uuid, memory, maxmem, vcpus, online }, capsule, wires, (bytes) => console.write(bytes), (port) => taken.notify(port));
        console.connect(taken.backEnds.console);
        return taken;
      });
      this.byId.set(domid, domain);
      await this.announce({ domid, capsule: shape, vcpus }, link);
      await this.ask(domain, () => spread(domain, this.links));
      this.log(`domain ${domid} (${name}): created${paused ? ', paused' : ''}`);
      return domain;
    } finally {
      this.claims.delete(claim);
      settle();
    }
  }
  /** Domain-0's half of making a domain. When it fails the CPU's is undone. */
  private takeOver(link: CpuLink, domid: number, half: () => ManagedDomain): ManagedDomain {
    try {
      return half();
    } catch (error) {
      link.tell('destroy', domid);
      throw error;
    }
  }
  /** Lets a domain run that was made, if it is not paused. When that cannot be it has ended, which is told. */
  async begin(domain: ManagedDomain): Promise<void> {
    if (!domain.paused && domain.holds === 0) await this.askAll(domain, (link) => link.ask('unpause', domain.domid)).catch(() => undefined);
  }
  /** When it resolves the domain does not run. */
  async pause(domain: ManagedDomain): Promise<void> { await this.setPaused(domain, true); }
  async unpause(domain: ManagedDomain): Promise<void> { await this.setPaused(domain, false); }
  private async setPaused(domain: ManagedDomain, paused: boolean): Promise<void> {
    this.keeper.change(domain.spec.uuid, { paused });
    domain.paused = paused;
    if (domain.holds === 0) await this.askAll(domain, (link) => link.ask(paused ? 'pause' : 'unpause', domain.domid));
  }
  /**
   * Writes a core file of a domain, which stands still meanwhile: this thread reads its memory.
   * @param write takes the file, piece by piece
   * @param how live: let the domain run meanwhile; crash: crash it when that is done
   */
  async dumpCore(domain: ManagedDomain, write: (pieces: Iterable<Uint8Array>) => Promise<unknown>, how: { readonly live: boolean; readonly crash: boolean }): Promise<void> {
    if (how.live) await write(await this.coreOf(domain));
    else await this.holding(domain, async () => write(await this.coreOf(domain)));
    if (how.crash) await this.ask(domain, (link) => link.ask('crash', domain.domid, 'a core was dumped, with -c'));
  }
  /** Has a domain stand still while something is done. */
  private async holding(domain: ManagedDomain, body: () => Promise<unknown>): Promise<void> {
    domain.holds++;
    try {
      await this.askAll(domain, (link) => link.ask('pause', domain.domid));
      await body();
    } finally {
      domain.holds--;
      await this.begin(domain);
    }
  }
  /** A core file of a domain, piece by piece; of one that has ended, too. */
  async coreOf(domain: ManagedDomain): Promise<Iterable<Uint8Array>> {
    const { domid, capsule, spec: { maxvcpus: vcpus } } = domain;
    let contexts: readonly Uint8Array[] | undefined;
    await this.ask(domain, async (link) => { contexts = await link.ask('contexts', domid); }).catch((error: unknown) => { if (domain.ended === undefined) throw error; });
    contexts ??= await this.leastLoaded(domain.allowed).ask('contexts', { domid, capsule: capsule.shape, vcpus });
    return coreFile(capsule, contexts);
  }
  /** Begins to keep in rings, one a CPU, what domains do, also those that are yet to come. @throws DomainError */
  async beginTrace(records: number): Promise<readonly TraceRing[]> {
    if (this.rings) throw new DomainError('a trace is being taken already');
    const rings = this.rings = this.links.map(() => new TraceRing(records));
    await Promise.allSettled(this.links.map((link, i) => link.ask('trace', (rings[i] as TraceRing).buffer)));
    return rings;
  }
  /** When it resolves nothing is written to the rings any more. */
  async endTrace(): Promise<void> {
    this.rings = undefined;
    await Promise.allSettled(this.links.map((link) => link.ask('trace', undefined)));
  }
  /** Presses debug keys: what they tell goes to the hypervisor's log, before this resolves. @throws DomainError */
  async debugKeys(keys: string): Promise<void> {
    const unknown = unknownKey(keys);
    if (unknown !== undefined) throw new DomainError(`${unknown}: there is no such debug key; h lists in the log those that there are`);
    const log = (line: string): void => this.host.log('info', line);
    for (const key of keys) {
      const lines = await Promise.all(this.links.map((link) => link.ask('debugKey', key).catch((error: Error) => [error.message])));
      for (const line of [...keyHead(key), ...lines.flat()]) log(line);
    }
    for (const { domid, spec: { name }, ended } of this.list()) if (ended !== undefined) log(`Domain ${domid} (${name}) is on no CPU any more: ${ended}`);
  }
  /** Changes what part of the processor a domain gets; undefined: as it is. @throws DomainError */
  async setShare(domain: ManagedDomain, weight = domain.spec.weight, cap = domain.spec.cap): Promise<void> {
    const spec = { ...domain.spec, weight, cap };
    checkShare(spec);
    this.keeper.change(spec.uuid, { weight, cap });
    domain.spec = spec;
    await this.askAll(domain, (link) => link.ask('share', domain.domid, weight, capOfEach(domain)));
  }
  /** Says where a vCPU may run, or all of them; the domain is moved if it has to be. @throws DomainError */
  async pin(domain: ManagedDomain, vcpu: number | 'all', list: Affinity): Promise<void> {
    const { uuid, maxvcpus: vcpus, affinity } = domain.spec;
    if (vcpu !== 'all' && (!Number.isInteger(vcpu) || vcpu < 0 || vcpu >= vcpus)) throw new DomainError(`vCPU ${vcpu}: the domain has vCPUs 0 to ${vcpus - 1}`);
    const lists = Array.from({ length: vcpus }, (_, i) => (vcpu === 'all' || vcpu === i ? list : affinity[i]));
    const allowed = this.homes(lists, vcpus, machinesOf(domain.capsule));
    this.keeper.change(uuid, { cpus: lists.map(affinityWords) });
    [domain.allowed, domain.spec] = [allowed, { ...domain.spec, affinity: lists }];
    await domain.arrived(() => (domain.allowed.has(domain.cpu) ? undefined : this.move(domain, this.leastLoaded(domain.allowed))));
    await domain.arrived(() => this.respread(domain));
  }
  /** Asks the guest to power off or to reboot, by xenstore (xenstore-paths, control/shutdown). */
  request(domain: ManagedDomain, what: 'poweroff' | 'reboot'): void {
    this.keeper.change(domain.spec.uuid, { wanted: startsAnother(actionAfter(what, domain.spec)) });
    this.control(domain, 'shutdown', what);
  }
  /** Tells the guest something by a node below control/ (xenstore-paths). */
  control(domain: ManagedDomain, node: 'shutdown' | 'sysrq', value: string): void {
    new LocalClient(this.store).write(`${domainPath(domain.domid)}/control/${node}`, value);
  }
  /** Ends a domain at once, for good. When it resolves nothing is left of it. */
  async destroy(domain: ManagedDomain): Promise<void> {
    if (domain.dying) return;
    this.keeper.gone(domain.spec.uuid);
    await this.discard(domain);
  }
  /** The same; whoever remembers the domain is not told. */
  async discard(domain: ManagedDomain): Promise<void> {
    if (!await this.remove(domain)) return;
    domain.console.end();
    this.log(`domain ${domain.domid} (${domain.spec.name}): destroyed`);
    this.onLess();
  }
  /** @throws DomainError */
  rename(domain: ManagedDomain, name: string): void {
    this.requireFree(name);
    this.keeper.change(domain.spec.uuid, { name });
    domain.spec = { ...domain.spec, name };
    new LocalClient(this.store).atomically((client) => { for (const home of [domainPath(domain.domid), `/vm/${domain.spec.uuid}`]) client.write(`${home}/name`, name); });
  }
  /** Moves a domain to another CPU, while it runs. */
  async move(domain: ManagedDomain, to: CpuLink): Promise<void> {
    await domain.arrived(() => {
      if (domain.link === to || domain.dying || domain.ended !== undefined) return undefined;
      domain.move(this.carry(domain, to));
      return domain.moving;
    });
  }
  /** Moves a domain to another CPU by number. @throws DomainError */
  async moveTo(domain: ManagedDomain, cpu: number): Promise<void> {
    const link = this.links[cpu];
    if (!link) throw new DomainError(`CPU ${cpu}: there are CPUs 0 to ${this.links.length - 1}`);
    await this.move(domain, link);
  }
  /** Lets the CPUs give back the memory of domains that are gone. */
  async collect(): Promise<void> { await Promise.all(this.links.map((link) => link.ask('collect').catch(() => null))); }
  /** Ends all domains and CPUs; whoever remembers them is not told. */
  async close(): Promise<void> {
    this.isEnding = true;
    await this.endings.settled();
    await Promise.all(this.list().map((domain) => this.discard(domain)));
    for (const link of this.links) link.end();
  }

  // ---- CPUs

  /** @param wait ms until its thread is started; what is asked of it meanwhile waits too */
  private startCpu(id: number, wait = 0): CpuLink {
    const { start, later } = this.parts;
    const begin = this.host.now() + wait * 1e6;
    return new CpuLink(id, wait === 0 ? start : startLater(start, later, wait), (report, link) => this.told(report, link), (link, reason) => this.died(link, reason, (this.host.now() - begin) / 1e6));
  }
  private told(report: CpuReport, link: CpuLink): void {
    switch (report.kind) {
      case 'events': {
        const { events } = report;
        for (let i = 0; i < events.length; i += 2) this.byId.get(events[i] as number)?.backEnds?.onEvent(events[i + 1] as number);
        return;
      }
      case 'ended': {
        const domain = this.byId.get(report.domid);
        if (domain) this.ended(domain, report.end);
        return;
      }
      case 'peerEvents': {
        const { events } = report;
        for (let i = 0; i < events.length; i += 3) this.byId.get(events[i] as number)?.deliver(events[i + 1] as number, events[i + 2] as number);
        return;
      }
      case 'gone': return this.gone(report.domid, link);
      case 'crowded': return this.balance();
      case 'log': return this.host.log(report.level, report.message);
      default: throw new Error(`physical CPU ${link.id} says ${report.kind}, which nobody understands`);
    }
  }
  /** Tells all CPUs but the one that it is on of a new domain. When it resolves they know it, or have died. */
  private async announce(announcement: Announcement, by: CpuLink): Promise<void> {
    this.announced.set(announcement.domid, announcement);
    await Promise.allSettled(this.links.map((link) => link === by || link.ask('announce', announcement)));
  }
  private gone(domid: number, by: CpuLink): void {
    const { capsule } = this.announced.get(domid) ?? {};
    this.announced.delete(domid);
    for (const link of this.links) if (link !== by) link.tell('forget', domid);
    if (capsule) this.onReleased(capsule.guestFrames / 256);
  }
  private died(link: CpuLink, reason: string, livedMs: number): void {
    const wait = this.restarts[link.id]?.next('crash', livedMs) ?? LONGEST_WAIT_MS;
    this.log(`physical CPU ${link.id} died, and its domains with it: ${reason}${wait === 0 ? '' : `; another takes its place in ${wait / 1000} s`}`, 'error');
    const replacement = this.links[link.id] = this.startCpu(link.id, wait);
    for (const announcement of this.announced.values()) replacement.tell('announce', announcement);
    if (this.rings) replacement.tell('trace', this.rings[link.id]?.buffer);
    for (const domain of this.list()) if (domain.link === link || domain.helpers.includes(link)) this.lose(domain, `physical CPU ${link.id} died: ${reason}`);
  }
  private lose(domain: ManagedDomain, why: string): void { this.ended(domain, { kind: 'crash', report: `Domain ${domain.domid} crashed: ${why}` }); }
  private async carry(domain: ManagedDomain, to: CpuLink): Promise<void> {
    await gather(domain);
    const parcel = await domain.link.ask('detach', domain.domid).catch(() => undefined);
    if (!parcel) return; // it has ended meanwhile, which was told
    domain.link = to;
    try {
      await to.ask('attach', parcel);
      await spread(domain, this.links);
    } catch (error) {
      this.lose(domain, messageOf(error));
    }
  }
  /** Which CPUs may run it has changed. */
  private async respread(domain: ManagedDomain): Promise<void> {
    domain.move(gather(domain).then(() => spread(domain, this.links)));
    await domain.moving;
  }
  /** Asks all CPUs that run some of a domain. */
  private async askAll(domain: ManagedDomain, question: (link: CpuLink) => Promise<unknown>): Promise<void> {
    await this.ask(domain, async () => { await Promise.all([domain.link, ...domain.helpers].map(question)); });
  }
  /** Asks the CPU that a domain is on, once it is on one; one that has ended is on none. */
  async ask(domain: ManagedDomain, question: (link: CpuLink) => Promise<unknown>): Promise<void> {
    await domain.arrived(() => (domain.ended === undefined ? question(domain.link) : undefined));
  }
  /** The CPUs that a domain may be on with its first vCPUs. @throws DomainError */
  private homes(lists: readonly Affinity[], vcpus: number, machines: number): ReadonlySet<number> {
    const count = this.links.length, homes = homeCpus(lists, vcpus, count, machines);
    if (homes.size === 0) throw new DomainError(noWay(count));
    return homes;
  }
  /** Domains, and what they are on other CPUs: those that are on several stay. */
  private loads(): readonly Load[] {
    const now = this.host.now();
    const all = this.list();
    for (const domain of all) domain.measure(now);
    return all.flatMap((domain) => (domain.helpers.length === 0 ? domain : [domain.link, ...domain.helpers].map(({ id: cpu }): Load => ({ cpu, load: domain.load, allowed: NOWHERE }))));
  }
  private leastLoaded(allowed: ReadonlySet<number>): CpuLink { return this.links[leastLoaded([...this.loads(), ...this.claims], this.links.length, allowed) as number] as CpuLink; }
  /** Moves one domain, if that evens out the load. */
  private balance(): void {
    const now = this.host.now();
    if (this.links.length < 2 || now < this.balanced + BALANCE_NS) return;
    this.balanced = now;
    const best = bestMove(this.loads().filter((d) => !(d instanceof ManagedDomain && (d.moving || d.dying))), this.links.length);
    if (best?.domain instanceof ManagedDomain) void this.move(best.domain, this.links[best.to] as CpuLink);
  }

  // ---- beginnings and ends

  private requireFree(name: string): void {
    if (!/^[A-Za-z0-9_][A-Za-z0-9._+-]{0,62}$/.test(name) || /^\d+$/.test(name) || name === 'Domain-0') throw new DomainError(`${name}: a domain's name has up to 63 letters, digits, dots, dashes, pluses and underscores, and is no number`);
    if (this.list().some((d) => d.spec.name === name) || [...this.claims].some((c) => c.name === name)) throw new DomainError(`${name}: there is a domain of that name`);
  }
  private newDomid(): number {
    for (let tried = 0; tried <= LAST_DOMID; tried++) {
      const domid = this.nextDomid;
      this.nextDomid = domid === LAST_DOMID ? FIRST_DOMID : domid + 1;
      if (!this.byId.has(domid) && !this.announced.has(domid) && ![...this.claims].some((c) => c.domid === domid)) return domid;
    }
    throw new DomainError('there is no free domain number: destroy a domain first');
  }
  /** Takes a domain off its CPU and out of the store. False when somebody else does so already. */
  async remove(domain: ManagedDomain): Promise<boolean> {
    if (domain.dying) return false;
    domain.dying = true;
    await domain.arrived(async () => {
      await gather(domain);
      await this.bury(domain);
    });
    this.byId.delete(domain.domid);
    domain.backEnds?.xenstore.close();
    releaseDomain(this.store, domain.domid, domain.spec.uuid);
    return true;
  }
  /** Destroys a domain on the CPU that it is on, or on the one that has taken that one's place. */
  private async bury({ domid, cpu }: ManagedDomain): Promise<void> {
    const onCpu = async (): Promise<unknown> => (this.links[cpu] as CpuLink).ask('destroy', domid);
    try {
      await onCpu().catch((error: unknown) => { if (error instanceof CpuDied) return onCpu(); throw error; });
    } catch (error) {
      this.log(`domain ${domid}: what it has of others is not given up: ${messageOf(error)}`, 'error');
    }
  }
  /** A domain has ended by itself; its CPU has forgotten it. */
  private ended(domain: ManagedDomain, end: DomainEnd): void {
    if (domain.ended !== undefined) return;
    domain.ended = end.kind;
    const see = (): void => { if (!domain.dying) this.endings.see(domain, end); };
    if (domain.helpers.length === 0) see();
    else void gather(domain).then(see);
  }
}
