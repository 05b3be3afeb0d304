// A machine in the test's own process, whose domains are small guests with consoles that can be read.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { startCpuThread } from '#hosts/node/daemon/cpu-thread.ts';
import { specOf } from '#hosts/node/daemon/domain-spec.ts';
import type { CreateRequest } from '#hosts/node/daemon/protocol.ts';
import { nodeHost } from '#hosts/node/host.ts';
import { CompilerThread } from '#hosts/node/region-compiler.ts';
import { PATIENCE_MS, until, wait } from '#hosts/node/testing/wait.ts';
import { storePace } from '#hosts/node/xenstore-socket.ts';
import { ConsoleLog } from '#toolstack/lifecycle/console-log.ts';
import { Domains } from '#toolstack/lifecycle/domains.ts';
import type { ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { linesOk } from '../guests/lines-ok.ts';

const image = (guest: string): string => join(import.meta.dirname, `../guests/prebuilt/${guest}.elf.gz`);

export class World {
  readonly log: string[] = [];
  readonly domains: Domains;
  private readonly outputs = new Map<string, string>();
  private readonly patience: number;

  /** @param cpus how many physical CPUs, threads each @param patience of `until`, ms */
  constructor(cpus: number, patience = PATIENCE_MS) {
    this.patience = patience;
    const compilers = new CompilerThread((reason) => this.log.push(reason));
    this.domains = new Domains(new Store(), nodeHost((_level, message) => this.log.push(message)), { cpus, start: startCpuThread(compilers), later: storePace.later, saveCore: async () => assert.fail('nobody asked for a core') }, (line) => this.log.push(line));
  }
  /** A domain that does not run yet. */
  async create(guest: string, name: string, cmdline: string, more: Partial<CreateRequest> = {}): Promise<ManagedDomain> {
    const console = new ConsoleLog();
    this.outputs.set(name, '');
    console.attach({ output: (bytes) => this.outputs.set(name, this.output(name) + String.fromCharCode(...bytes)), end: () => {} });
    const spec = specOf({ name, uuid: crypto.randomUUID(), kernel: image(guest), cmdline, memory: 8, vcpus: 1, weight: 256, cap: 0, onPoweroff: 'destroy', onReboot: 'destroy', onCrash: 'preserve', paused: true, ...more });
    return this.domains.make(spec, true, console);
  }
  output(name: string): string { return this.outputs.get(name) as string; }
  async until(what: string, holds: () => boolean): Promise<void> {
    await until(() => `${what}\n${[...this.outputs].map(([name, text]) => `${name}: ${text}`).join('\n')}\n${this.log.join('\n')}`, holds, this.patience);
  }
  /** All checks of a guest were right, and it has come to its end. */
  assertAllOk(name: string): void {
    linesOk(this.output(name).replaceAll('\r', ''));
  }
  /** Does something to a domain again and again, until it ends. @param pause ms between @returns how often */
  async again(domain: ManagedDomain, pause: number, body: () => Promise<void>): Promise<number> {
    let times = 0;
    for (; domain.ended === undefined; times++) {
      await body();
      await wait(pause);
    }
    return times;
  }
  /** Moves a domain from one CPU to the other and back, until it ends. @returns how often */
  async toAndFro(domain: ManagedDomain, pause: number): Promise<number> {
    await this.domains.pin(domain, 'all', undefined);
    return this.again(domain, pause, () => this.domains.moveTo(domain, 1 - domain.cpu));
  }
}
