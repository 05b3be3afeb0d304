// The loop of a physical CPU, with domains that execute nothing and a clock that stands still unless they run.

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { EVTCHNOP, evtchn_bind_virq } from '#abi/event-channel.ts';
import { SHUTDOWN, VIRQ } from '#abi/xen.ts';
import { CommonFrames } from '#hypervisor/common-frames.ts';
import { Share } from '#hypervisor/credit.ts';
import { allocUnboundFor, bindBackend, notifyBackend } from '#hypervisor/event-backend.ts';
import { do_event_channel_op } from '#hypervisor/event-channel.ts';
import { portIsPending } from '#hypervisor/event-port.ts';
import { copyingCommons } from '#hypervisor/testing/copying-commons.ts';
import { DomU } from '#hypervisor/testing/domu.ts';
import { TRACE_KIND, TraceRing } from '#hypervisor/trace-ring.ts';
import { do_set_timer_op } from '#hypervisor/timer.ts';
import { schedOf } from '#hypervisor/vcpu-sched.ts';
import { vcpuContext } from '#hypervisor/vcpu-context.ts';
import { VPF } from '#hypervisor/vcpu.ts';
import type { CpuReport, CpuRequest, CpuServices, Mailbox } from './cpu-mail.ts';
import { cpuServices, readMail } from './cpu-services.ts';
import { PhysicalCpu } from './physical-cpu.ts';
import { PlacedDomain } from './placed-domain.ts';

const MS = 1e6;
class Over extends Error {}

/** A mailbox whose sleeps pass at once; the clock goes on meanwhile. */
class FakeMailbox implements Mailbox {
  readonly sent: CpuReport[] = [];
  readonly sleeps: number[] = [];
  readonly requests: CpuRequest[] = [];
  private readonly world: World;
  constructor(world: World) { this.world = world; }
  get hasMail(): boolean { return this.requests.length > 0; }
  take(): CpuRequest | undefined { return this.requests.shift(); }
  send(report: CpuReport): void { this.sent.push(report); }
  async sleep(ns: number): Promise<void> {
    this.sleeps.push(ns);
    if (this.hasMail) return;
    if (ns === Infinity) throw new Over();
    this.world.time += ns;
  }
  wake(): void {}
  async turn(): Promise<void> {}
}

class World {
  time = 1e9;
  readonly mail: FakeMailbox = new FakeMailbox(this);
  readonly cpu: PhysicalCpu;
  private readonly services: CpuServices;
  /** domids in the order in which they had the CPU */
  readonly ran: number[] = [];

  constructor(common?: CommonFrames) {
    this.cpu = new PhysicalCpu(3, this.mail, () => this.time, common);
    this.services = cpuServices(this.cpu, { host: { now: () => this.time } as never, decompressors: {} as never, compiler: () => ({}) as never, collect: () => {} });
  }

  /** A domain that runs as its `body` says, which is called for each slice of a vCPU and takes 1 ms unless it says otherwise. */
  add(domid: number, body: (u: DomU) => void = () => { this.time += MS; }, more: { weight?: number; cap?: number } = {}): DomU {
    const u = new DomU(1, { deterministic: false });
    Object.assign(u.domain, { domid });
    u.fake.host.now = () => this.time;
    schedOf(u.v).periodicPeriod = 0;
    u.fake.machine.onRun = (_cpu, budget) => {
      if (this.ran.at(-1) !== domid) this.ran.push(domid);
      u.retire(u.v, budget);
      body(u);
      return 1;
    };
    Share.begin(u.domain.capsule).set(more.weight ?? 256, more.cap ?? 0);
    this.cpu.place(new PlacedDomain(u.domain, undefined));
    return u;
  }
  post(service: CpuRequest['service'], ...args: unknown[]): void { this.mail.requests.push({ id: 1, service, args } as never); }
  /** Runs until all sleep for ever. */
  async run(): Promise<void> { await assert.rejects(this.cpu.run(() => readMail(this.mail, this.services)), Over); }
}
const block = (u: DomU): void => { u.v.pause(VPF.blocked); };

describe('a physical CPU', () => {
  let w: World;
  beforeEach(() => { w = new World(); });

  test('a domain with nothing to do is left alone until its timer is due', async () => {
    const u = w.add(1, block);
    u.op(do_event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 });
    u.call(do_set_timer_op, 7 * MS);
    await w.run();
    assert.deepEqual(w.mail.sleeps, [7 * MS, Infinity]);
  });

  test('an exception of ours ends the domain that it happened with, and no other', async () => {
    w.add(1, () => { throw new Error('a bug'); });
    const other = w.add(2, (u) => { w.time += MS; block(u); });
    await w.run();
    const ended = w.mail.sent.filter((r) => r.kind === 'ended');
    assert.deepEqual(ended.map((r) => [r.domid, r.end.kind]), [[1, 'crash']]);
    assert.ok(!other.domain.isShutDown);
    assert.equal(w.cpu.get(1), undefined);
  });
  test('so does one outside the guest’s own slices', async () => {
    const u = w.add(1, block);
    u.fake.host.now = () => { throw new Error('a worse bug'); };
    w.add(2, (v) => { w.time += MS; block(v); });
    await w.run();
    assert.match(w.mail.sent.map((r) => (r.kind === 'ended' && r.end.kind === 'crash' ? r.end.report : '')).join(), /a worse bug/);
    assert.deepEqual(w.ran, [2]);
  });

  test('or while an event is sent to it', async () => {
    const u = w.add(1, block);
    const port = allocUnboundFor(u.domain, 0);
    bindBackend(u.domain, port, () => {});
    w.add(2, (v) => {
      Object.defineProperty(u.v, 'info', { get() { throw new Error('a third bug'); } });
      w.post('notify', 1, port);
      w.time += MS;
      block(v);
    });
    await w.run();
    assert.match(w.mail.sent.map((r) => (r.kind === 'ended' && r.end.kind === 'crash' ? r.end.report : r.kind)).join(), /^Domain 1 crashed: .*a third bug[^]*,answer$/);
    assert.ok(w.cpu.get(2) !== undefined && w.cpu.get(1) === undefined);
  });

  test('how a domain ended is told, after its last events', async () => {
    const u = w.add(1, (v) => {
      notifyBackend(v.domain, port);
      notifyBackend(v.domain, port);
      v.domain.shutdown(SHUTDOWN.poweroff);
    });
    const port = allocUnboundFor(u.domain, 0);
    bindBackend(u.domain, port, () => w.cpu.tell(1, port));
    await w.run();
    assert.deepEqual(w.mail.sent, [{ kind: 'events', events: [1, port] }, { kind: 'ended', domid: 1, end: { kind: 'poweroff' } }], 'an event is sent once a slice');
  });

  test('a domain that is crashed from outside ends, though it is paused; its vCPUs could be looked at before', async () => {
    const u = w.add(1);
    for (const service of ['pause', 'contexts'] as const) w.post(service, 1);
    w.post('crash', 1, 'somebody wants it');
    await w.run();
    const [paused, contexts, ended, crashed] = w.mail.sent;
    assert.deepEqual([paused?.kind, crashed?.kind, w.ran], ['answer', 'answer', []]);
    assert.ok(contexts?.kind === 'answer' && Array.isArray(contexts.value));
    assert.deepEqual(contexts.value, [vcpuContext(u.v)]);
    assert.ok(ended?.kind === 'ended' && ended.end.kind === 'crash');
    assert.match(ended.end.report, /somebody wants it/);
  });

  test('what domains do is kept in the ring of their CPU, with its number, for as long as that is wanted', async () => {
    const ring = new TraceRing(64);
    const slices = (u: DomU): void => { w.time += MS; if (w.time >= 1e9 + 6 * MS) block(u); };
    w.add(1, slices);
    w.post('trace', ring.buffer);
    w.add(2, slices);
    await w.run();
    const runs = [...ring.records()].filter(({ kind }) => kind === TRACE_KIND.run);
    assert.deepEqual([...new Set(runs.map(({ domid }) => domid))].toSorted(), [1, 2]);
    assert.ok(runs.every(({ pcpu, begin, end }) => pcpu === 3 && end - begin === MS));
    w.post('trace', undefined);
    w.add(4, block);
    await w.run();
    assert.ok(![...ring.records()].some(({ domid }) => domid === 4));
  });

  test('a domain that wakes goes before one that works, at the end of its slice', async () => {
    let slices = 0;
    const sleeper = w.add(1, (u) => { w.time += MS / 10; block(u); });
    const port = allocUnboundFor(sleeper.domain, 0);
    bindBackend(sleeper.domain, port, () => {});
    w.add(2, (u) => {
      w.time += MS;
      if (++slices === 3) w.post('notify', 1, port);
      if (slices === 5) block(u);
    });
    await w.run();
    assert.deepEqual(w.ran, [1, 2, 1, 2].slice(w.ran[0] === 1 ? 0 : 1));
  });

  test('it does so whenever it wakes, though others have waited for their turn since long', async () => {
    const answers: number[] = [];
    let asked = 0; // when it was woken
    const begin = w.time + 100 * MS; // by then all have had their turn
    const sleeper = w.add(1, (u) => {
      w.time += MS / 2;
      if (asked > 0) answers.push(w.time - asked);
      block(u);
    });
    for (const domid of [2, 3, 4, 5, 6, 7]) {
      w.add(domid, (u) => {
        if (answers.length === 20) return block(u);
        if (w.time >= Math.max(begin, asked + 30 * MS)) {
          asked = w.time;
          w.cpu.disturb(w.cpu.get(1) as PlacedDomain, () => sleeper.v.unpause(VPF.blocked));
        }
        w.time += MS;
      });
    }
    await w.run();
    assert.equal(answers.length, 20);
    assert.ok(Math.max(...answers) < 2 * MS, answers.map((ns) => ns / MS).join());
  });

  test('a domain that is paused does not run, and its timers wait', async () => {
    let slices = 0;
    const u = w.add(1, (v) => {
      w.time += MS;
      slices++;
      if (slices === 2) w.post('pause', 1);
      if (slices === 3) block(v);
    });
    const { port } = u.op(do_event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 }).out;
    u.call(do_set_timer_op, 10 * MS);
    w.add(2, (v) => {
      w.time += MS;
      if (w.time > 1e9 + 40 * MS) block(v);
    });
    await w.run();
    assert.equal(slices, 2);
    assert.equal(u.v.pauseFlags, VPF.paused);
    assert.ok(w.mail.sent.some((r) => r.kind === 'answer'));
    assert.ok(!portIsPending(u.domain, port), 'it was due long ago');
    w.post('unpause', 1);
    await w.run();
    assert.ok(portIsPending(u.domain, port), 'it comes when the domain goes on');
  });

  test('who waits gets the CPU after a turn; Domain-0 is told that it is crowded', async () => {
    for (const domid of [1, 2]) w.add(domid, (u) => { w.time += MS; if (w.time > 1e9 + 300 * MS) block(u); });
    await w.run();
    assert.deepEqual(w.ran.slice(0, 4), [1, 2, 1, 2]);
    assert.ok(w.ran.length < 40, 'turns are long');
    assert.ok(w.mail.sent.some((r) => r.kind === 'crowded'));
  });

  test('a capped domain is parked for the rest of its period', async () => {
    const u = w.add(1, (v) => { w.time += MS; if (w.time > 2e9) block(v); }, { cap: 25 });
    await w.run();
    const { ran, wanted } = Share.of(u.domain.capsule);
    assert.ok(Math.abs(ran - 250 * MS) < 30 * MS, `${ran / MS} ms of 1000`);
    assert.ok(wanted >= ran && wanted < 350 * MS, 'while it is parked it wants nothing');
  });

  test('a domain that is idle for long gives back what was decoded of it; one that works now and then does not', async () => {
    const discarded: number[] = [];
    const add = (domid: number, ran: number): DomU => {
      const u = w.add(domid, (v) => {
        w.time += ran;
        if (w.time > 200e9) return block(v);
        schedOf(v.v).pollTimeout = w.time - 1e9 + 4e9;
        v.v.pause(VPF.polling);
      });
      u.fake.host.discard = (_memory, offset) => {
        if (offset !== u.domain.capsule.scratch) return;
        discarded.push(w.time);
        assert.ok(domid === 1 || w.time > 200e9);
      };
      return u;
    };
    add(1, MS);
    const others = [add(2, 100 * MS), add(3, 12 * MS)]; // the last one has its part of a CPU of many
    await w.run();
    assert.ok(discarded.filter((time) => time < 200e9).length > 0);
    const shed = (u: DomU): number => u.fake.machine.calls.filter(({ call }) => call === 'shed').length;
    assert.deepEqual(others.map(shed), [1, 1], 'when they have become idle, though they execute nothing any more');
  });

  test('idle domains that are alike have their memory in common, also the one that was idle first', async () => {
    const put: unknown[] = [];
    w = new World(CommonFrames.of({ common: copyingCommons((memory) => { put.push(memory); }) }));
    const domains = [1, 2, 3].map((domid) => w.add(domid, (u) => { w.time += MS; block(u); }));
    for (const { fake, guest } of domains) {
      fake.host.discard = () => {};
      for (let pfn = 20; pfn < 60; pfn++) guest.words(pfn).fill(pfn);
    }
    await w.run();
    assert.deepEqual(new Set(put), new Set(domains.map(({ domain }) => domain.capsule.memory)));
    assert.ok(w.time < 60e9, 'they are not looked at again and again');
  });

  test('a request for a domain that is not here is answered with an error', async () => {
    for (const service of ['pause', 'unpause', 'destroy', 'detach', 'notify', 'share'] as const) w.post(service, 9, 1, 1);
    await w.run();
    assert.deepEqual(w.mail.sent.map((r) => r.kind === 'failure' && r.failure.message), Array.from({ length: 6 }, () => 'domain 9 is not on this CPU'));
  });
});
