// Two guests that share channels and pages, each on a physical CPU of its own, that is on a thread: what they do to each other is
// right while they both run, and while one of them is moved.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { CompilerThread } from '#hosts/node/region-compiler.ts';
import { startCpuThread } from '#hosts/node/daemon/cpu-thread.ts';
import { specOf } from '#hosts/node/daemon/domain-spec.ts';
import { nodeHost } from '#hosts/node/host.ts';
import { storePace } from '#hosts/node/xenstore-socket.ts';
import { ConsoleLog } from '#toolstack/lifecycle/console-log.ts';
import { Domains } from '#toolstack/lifecycle/domains.ts';
import type { EventAction, ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { until, wait } from '#hosts/node/testing/wait.ts';
import { linesOk } from '../guests/lines-ok.ts';

const image = (guest: string): string => join(import.meta.dirname, `../guests/prebuilt/${guest}.elf.gz`);

/** Domains that write to consoles which can be read. */
class World {
  readonly log: string[] = [];
  readonly domains: Domains;
  /** the number that the next domain gets */
  next = 1;
  private readonly outputs = new Map<string, string>();

  constructor() {
    const compilers = new CompilerThread((reason) => this.log.push(reason));
    this.domains = new Domains(new Store(), nodeHost((_level, message) => this.log.push(message)), { cpus: 2, start: startCpuThread(compilers), later: storePace.later, saveCore: async () => assert.fail('nobody asked for a core') }, (line) => this.log.push(line));
  }
  async create(guest: string, name: string, cmdline: string, cpu: number, onPoweroff: EventAction = 'destroy'): Promise<ManagedDomain> {
    const console = new ConsoleLog();
    this.outputs.set(name, '');
    console.attach({ output: (bytes) => this.outputs.set(name, this.output(name) + String.fromCharCode(...bytes)), end: () => {} });
    const spec = specOf({ name, uuid: crypto.randomUUID(), kernel: image(guest), cmdline, memory: 8, vcpus: 1, weight: 256, cap: 0, onPoweroff, onReboot: 'destroy', onCrash: 'preserve', paused: true, cpus: [String(cpu)] });
    const domain = await this.domains.make(spec, true, console);
    assert.deepEqual([domain.domid, domain.cpu], [this.next++, cpu]);
    return domain;
  }
  output(name: string): string { return this.outputs.get(name) as string; }
  async until(what: string, holds: () => boolean): Promise<void> {
    await until(() => `${what}\n${[...this.outputs].map(([name, text]) => `${name}: ${text}`).join('\n')}\n${this.log.join('\n')}`, holds);
  }
  /** All checks of a guest were right, and it has come to its end. */
  assertAllOk(name: string): void {
    linesOk(this.output(name).replaceAll('\r', ''));
  }
  /** Moves a domain from one CPU to the other and back, until it ends. @returns how often */
  async toAndFro(domain: ManagedDomain, pause: number): Promise<number> {
    let times = 0;
    await this.domains.pin(domain, 'all', undefined);
    for (; domain.ended === undefined; times++) {
      await this.domains.moveTo(domain, 1 - domain.cpu);
      await wait(pause);
    }
    return times;
  }
}

describe('domains on two CPUs', { timeout: 280_000 }, () => {
  const w = new World();
  const { domains } = w;
  afterEach(async () => { await Promise.all(domains.list().map((domain) => domains.destroy(domain))); });
  after(() => domains.close());

  for (const [how, moved] of [['where they are', false], ['while one is moved', true]] as const) {
    test(`events go through a channel between them, to and fro, ${how}`, async () => {
      const offers = await w.create('peers', 'offers', `offer ${w.next + 1}`, 0, 'preserve');
      const binds = await w.create('peers', 'binds', `bind ${offers.domid} 3`, 1, 'preserve');
      await domains.unpause(offers);
      await w.until('there is a port', () => w.output('offers').includes('ok 2'));
      const moves = moved ? w.toAndFro(binds, 10) : undefined;
      await domains.unpause(binds);
      if (moves) assert.ok(await moves > 0, 'it was moved');
      await w.until('both have ended', () => offers.ended !== undefined && binds.ended !== undefined);
      for (const domain of [offers, binds]) {
        w.assertAllOk(domain.spec.name);
        await domains.destroy(domain);
      }
      assert.deepEqual(domains.numbers, []);
    });
  }

  for (const version of [1, 2]) for (const who of ['nobody', 'the granter', 'the mapper'] as const) {
    test(`pages are mapped, copied and transferred between them, by version ${version}, while ${who} is moved`, async () => {
      const granter = await w.create('neighbours', 'granter', `granter peer=${w.next + 1} version=${version}`, 0);
      const mapper = await w.create('neighbours', 'mapper', `mapper peer=${granter.domid} version=${version}`, 1, 'preserve');
      const moves = who === 'nobody' ? undefined : w.toAndFro(who === 'the granter' ? granter : mapper, 5);
      for (const domain of [granter, mapper]) await domains.unpause(domain);
      if (moves) assert.ok(await moves > 0, 'it was moved');
      await w.until('both have ended', () => granter.ended !== undefined && mapper.ended !== undefined);
      await w.until('the granter is gone', () => !domains.numbers.includes(granter.domid));
      w.assertAllOk('granter');
      w.assertAllOk('mapper');
      await domains.destroy(mapper);
      assert.deepEqual(domains.numbers, []);
    });
  }
});
