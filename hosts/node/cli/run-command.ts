// `xenith run`: builds a domain, runs it with its console on standard input and output, again when it reboots, and says
// with the exit status how it ended.

import type { Host, LogLevel } from '#base/host.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { DOMAIN_0, domctl, sysctl } from '#hypervisor/management.ts';
import { TraceRing } from '#hypervisor/trace-ring.ts';
import type { RegionCompiler } from '#machine/engine/region-job.ts';
import { BuilderError } from '#toolstack/builder/builder-error.ts';
import { coreFile } from '#toolstack/dump/core-file.ts';
import { createDomain, type CreatedDomain } from '#toolstack/lifecycle/create-domain.ts';
import { exitStatusOf, offerCommand, offerOptions, whenConsoleReady, whenTold } from '#toolstack/lifecycle/default-guest.ts';
import { deterministicHost } from '#toolstack/lifecycle/deterministic-host.ts';
import { type DomainEnd, endOf } from '#toolstack/lifecycle/domain-end.ts';
import { DomainLoop } from '#toolstack/lifecycle/domain-loop.ts';
import { PipeInput } from '#toolstack/lifecycle/pipe-input.ts';
import { chromeTrace } from '#toolstack/trace/chrome-trace.ts';
import { releaseDomain } from '#toolstack/xenstore/domain-tree.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { NODE_DECOMPRESSORS } from '../decompressors.ts';
import { nodeHost } from '../host.ts';
import { inHugePages } from '../memory-map.ts';
import { OutputError, textPieces, writeOutput } from '../output-file.ts';
import { NodePacer } from '../pacer.ts';
import { CompilerClient, CompilerThread } from '../region-compiler.ts';
import type { RunArgs } from './args.ts';
import { ConsoleInput, TYPED } from './console-input.ts';
import { ConsoleOutput } from './console-output.ts';
import { type GuestPlan, planGuest } from './guest-plan.ts';
import { RunProfile } from './profile.ts';
import { StartedGuest } from './started-guest.ts';
import { RunStats } from './stats.ts';
import { type Stop, Stops } from './stops.ts';
import { Symbols } from './symbols.ts';
import { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** What a trace keeps: 40 MiB, some 80 of JSON. */
const TRACE_RECORDS = 1 << 19;
const FIRST_DOMID = 1;
const DETERMINISTIC_UUID = '00000000-0000-4000-8000-000000000001';

/**
 * Runs a guest to its end.
 * @returns the exit status
 * @throws UsageError
 */
export async function runCommand(args: RunArgs): Promise<number> {
  const terminal = new Terminal();
  const run = new Run(args, planGuest(args, terminal), terminal);
  try {
    return await run.toEnd();
  } finally {
    terminal.restore();
  }
}

class Run {
  private readonly args: RunArgs;
  private readonly plan: GuestPlan;
  private readonly terminal: Terminal;
  private readonly host: Host;
  private readonly store = new Store();
  private readonly uuid: string;
  private readonly stats = new RunStats();
  private readonly profile: RunProfile | undefined;
  private readonly trace: TraceRing | undefined;
  private readonly started: StartedGuest | undefined;
  /** of the domains that were made */
  private readonly domids: number[] = [];
  private readonly pacer = new NodePacer();
  private readonly stops: Stops;
  private readonly input: ConsoleInput;
  private readonly output: ConsoleOutput;
  private readonly compilers: CompilerClient | undefined;
  private compiler: RegionCompiler | undefined;
  private loop: DomainLoop | undefined;

  constructor(args: RunArgs, plan: GuestPlan, terminal: Terminal) {
    this.args = args;
    this.plan = plan;
    this.terminal = terminal;
    const host: Host = Object.assign(nodeHost((level, message) => this.log(level, message)), { inHugePages }); // one domain may have what many could not
    if (!args.deterministic && args.compileAfter !== 0 && args.compileAfter !== 1) {
      const thread = new CompilerThread((reason) => this.log('warning', `guest code is compiled more slowly from now on: ${reason}`), { inHugePages: true });
      this.compilers = new CompilerClient(plan.compileFrom > 0 ? thread.accessLater() : thread.access());
    }
    this.host = args.deterministic ? deterministicHost(host) : host;
    this.uuid = args.deterministic ? DETERMINISTIC_UUID : crypto.randomUUID();
    if (args.profile) this.profile = new RunProfile(args.systemMap === undefined ? new Symbols('') : Symbols.read(args.systemMap));
    if (args.traceOut !== undefined) this.trace = new TraceRing(TRACE_RECORDS);
    if (plan.kept !== undefined) this.started = new StartedGuest(plan.kept, this.store);
    this.stops = new Stops(args.timeout);
    this.input = new ConsoleInput(plan.pipe ? new PipeInput() : TYPED, terminal.isPerson);
    this.output = new ConsoleOutput({ mayPause: !args.deterministic });
  }

  async toEnd(): Promise<number> {
    let domid = FIRST_DOMID;
    let created = this.build(domid); // what is wrong with the arguments shows before anything else happens
    this.connectOutside();
    await this.openInput();
    for (;;) {
      const end = await this.runDomain(created, domid);
      const status = end ? this.statusOf(end, domid) : undefined;
      if (this.args.stats) this.stats.add(created.domain, this.loop?.runningNs ?? 0);
      this.profile?.add(created.domain);
      if (end?.kind === 'crash') await this.dump(created.domain);
      if (end === undefined || status !== undefined) return this.leave(status);
      this.terminal.message('xenith: the guest reboots');
      created.xenstore.close();
      releaseDomain(this.store, domid, this.uuid);
      created = this.build(++domid);
    }
  }

  private connectOutside(): void {
    this.stops.onStop = () => this.loop?.stop();
    this.stops.watch();
    this.input.onEscape = () => this.stops.stop({ status: 0, message: 'xenith: left the console; the domain is destroyed' });
    this.input.onFed = () => this.pacer.wake();
    this.output.onClosed = () => this.stops.stop({ status: 141 }); // as a shell counts a process that SIGPIPE ended
  }

  private async openInput(): Promise<void> {
    if (this.terminal.isPerson) {
      this.terminal.message('xenith: Ctrl-] leaves the console and destroys the domain');
      this.terminal.makeRaw();
    }
    const end = this.input.open();
    if (this.args.deterministic && !this.terminal.isPerson) await Promise.race([end, this.stops.stopped]);
  }

  /** @throws UsageError when a domain cannot be built from what the user gave */
  private build(domid: number): CreatedDomain {
    const { args, plan, store, uuid } = this;
    this.compiler?.close();
    this.compiler = this.compilers?.open();
    try {
      const request = { name: args.name ?? 'xenith', uuid, compileAfter: args.compileAfter, compileFrom: plan.compileFrom, compiler: this.compiler };
      const output = (bytes: Uint8Array): void => this.output.write(bytes);
      const started = domid === FIRST_DOMID ? this.started : undefined; // a guest that reboots boots
      const restored = started?.restore(request, this.host, output);
      const created = restored ?? createDomain({
        ...request, ...plan.images(), domid, commandLine: plan.commandLine, memory: args.memory, vcpus: args.vcpus, deterministic: args.deterministic, decompressors: NODE_DECOMPRESSORS,
      }, this.host, store, output);
      this.stats.begin(created.domain);
      sysctl(DOMAIN_0).tbuf_op(created.domain, this.trace);
      this.domids.push(domid);
      for (const category of args.trace) created.domain.trace.set(category, true);
      if (plan.command !== undefined) offerCommand(store, domid, plan.command);
      if (started && !restored) started.keep(created, args.memory, () => { this.offerOptions(domid); });
      else this.offerOptions(domid, restored?.late);
      return created;
    } catch (error) {
      if (error instanceof BuilderError || error instanceof RangeError) throw new UsageError(error.message);
      throw error;
    }
  }

  private offerOptions(domid: number, late?: number): void {
    if (this.plan.options) offerOptions(this.store, domid, this.plan.options, late);
    this.pacer.wake();
  }

  /** What is typed before a guest is kept would be typed into each copy. @returns what ends the wait, if there is one */
  private inputWaits(domid: number, connect: () => void): (() => void) | undefined {
    const { options, pipe } = this.plan;
    if (options) return (pipe ? whenConsoleReady : whenTold)(this.store, domid, connect);
    connect();
    return undefined;
  }

  /** Undefined when it was stopped from outside. */
  private async runDomain(created: CreatedDomain, domid: number): Promise<DomainEnd | undefined> {
    this.output.connect(created.console);
    const connect = (): void => this.input.connect(created.console);
    const cancel = this.inputWaits(domid, connect);
    this.loop = new DomainLoop(created.domain, this.pacer, { paced: this.terminal.isPerson, onIdle: () => this.started?.onIdle(), ...(this.profile ? { runVcpu: this.profile.run } : {}) });
    if (this.stops.reason) return undefined;
    const ended = await this.loop.run();
    cancel?.();
    this.input.disconnect();
    return ended ? endOf(created.domain) : undefined;
  }

  /** Undefined when the domain is to start anew. */
  private statusOf(end: DomainEnd, domid: number): number | undefined {
    if (end.kind === 'crash') {
      this.terminal.message(`\n${end.report}`);
      return 1;
    }
    if (this.plan.command !== undefined) return exitStatusOf(this.store, domid) ?? 0;
    return end.kind === 'poweroff' ? 0 : undefined;
  }

  private async dump(domain: Domain): Promise<void> {
    const { dumpOnCrash: path } = this.args;
    if (path !== undefined) await this.write('core file', path, coreFile(domain.capsule, domctl(DOMAIN_0).getvcpucontext(domain)));
  }
  private async writeTrace(): Promise<void> {
    const { traceOut: path } = this.args;
    if (path === undefined || !this.trace) return;
    const name = this.args.name ?? 'xenith';
    await this.write('trace', path, textPieces(chromeTrace([this.trace], new Map(this.domids.map((domid) => [domid, name])))));
  }
  private async write(what: string, path: string, pieces: Iterable<Uint8Array>): Promise<void> {
    try {
      await writeOutput(what, path, pieces);
      this.terminal.message(`xenith: ${what} written to ${path}`);
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
      this.terminal.message(`xenith: ${error.message}`);
    }
  }

  private async leave(status: number | undefined): Promise<number> {
    await Promise.race([this.output.flush(), this.stops.patience()]);
    await this.started?.kept;
    this.terminal.restore();
    const stop: Stop | undefined = status === undefined ? this.stops.reason : undefined;
    if (stop?.message !== undefined) this.terminal.message(`\n${stop.message}`);
    await this.writeTrace();
    if (this.args.stats) this.terminal.message(this.stats.text());
    if (this.profile) this.terminal.message(await this.profile.text());
    return status ?? stop?.status ?? 0;
  }

  /** Crashes are reported when the domain has ended; traces are made only when they were asked for. */
  private log(level: LogLevel, message: string): void {
    if (level === 'debug' || level === 'warning' || this.args.verbose) this.terminal.message(level === 'warning' ? `xenith: ${message}` : message);
  }
}
