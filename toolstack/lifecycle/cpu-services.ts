// What a physical CPU does when Domain-0 asks for it, and in its name. All of it happens between slices, on the CPU's thread.

import { Capsule } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { bindBackend, notifyFromBackend, rebindBackends } from '#hypervisor/event-backend.ts';
import { DOMAIN_0, domctl, sched_op } from '#hypervisor/management.ts';
import { clockOf } from '#hypervisor/time.ts';
import { TraceRing } from '#hypervisor/trace-ring.ts';
import type { RegionCompiler } from '#machine/engine/region-job.ts';
import { BuilderError } from '../builder/builder-error.ts';
import type { Decompressors } from '../builder/decompress/decompressors.ts';
import type { CpuFailure, CpuRequest, CpuServices, Mailbox } from './cpu-mail.ts';
import { CpuPeers } from './cpu-peers.ts';
import { corpseOf, makeDomain, takeUpDomain } from './make-domain.ts';
import type { PhysicalCpu } from './physical-cpu.ts';
import { PlacedDomain } from './placed-domain.ts';

/** What a CPU needs to make domains. */
export interface CpuTools {
  readonly host: Host;
  readonly decompressors: Decompressors;
  /** compiles the code of one domain on another thread */
  readonly compiler: () => RegionCompiler;
  /** gives back memory that this thread does not use any more */
  readonly collect: () => void;
}

/** Reads all the mail there is. */
export function readMail(mail: Mailbox, services: CpuServices): void {
  for (let request; (request = mail.take());) {
    const { id } = request;
    try {
      const value = serve(services, request);
      if (id !== 0) mail.send({ kind: 'answer', id, value });
    } catch (error) {
      if (id !== 0) mail.send({ kind: 'failure', id, failure: failureOf(error) });
    }
  }
}
function serve<K extends CpuRequest['service']>(services: CpuServices, request: { readonly service: K; readonly args: Parameters<CpuServices[K]> }): ReturnType<CpuServices[K]> {
  const service = services[request.service] as (...args: Parameters<CpuServices[K]>) => ReturnType<CpuServices[K]>;
  return service(...request.args);
}
function failureOf(error: unknown): CpuFailure {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined, code: undefined };
  const isOurs = !(error instanceof BuilderError || error instanceof NoSuchDomain);
  return { message: error.message, stack: isOurs ? error.stack : undefined, code: error instanceof BuilderError ? error.code : undefined };
}
/** It has ended: the report is on its way. */
class NoSuchDomain extends Error {}

export function cpuServices(cpu: PhysicalCpu, { host, decompressors, compiler: openCompiler, collect }: CpuTools): CpuServices {
  const get = (domid: number): PlacedDomain => {
    const placed = cpu.get(domid);
    if (!placed) throw new NoSuchDomain(`domain ${domid} is not on this CPU`);
    return placed;
  };
  const drop = (domid: number): PlacedDomain => {
    const placed = get(domid);
    cpu.remove(placed);
    placed.compiler?.close();
    return placed;
  };
  /** Does something with a compiler, which is closed if that fails. */
  const withCompiler = <T>(body: (compiler: RegionCompiler) => T): T => {
    const compiler = openCompiler();
    try {
      return body(compiler);
    } catch (error) {
      compiler.close();
      throw error;
    }
  };
  const peers = new CpuPeers(cpu);
  return {
    make: ({ weight, cap, ...config }) => withCompiler((compiler) => {
      const { domain, wires } = makeDomain({ ...config, deterministic: false, compiler, decompressors, peers }, host);
      for (const port of [wires.storePort, wires.consolePort]) bindBackend(domain, port, () => cpu.tell(domain.domid, port));
      domctl(DOMAIN_0).scheduler_op(domain, weight, cap);
      domctl(DOMAIN_0).pausedomain(domain);
      peers.enter(domain);
      cpu.place(new PlacedDomain(domain, compiler));
      return { capsule: domain.capsule.shape, wires, origin: clockOf(domain).hostTime(0) };
    }),
    attach: ({ domid, capsule, vcpus, recordedAt }) => withCompiler((compiler) => {
      const domain = takeUpDomain(domid, Capsule.attach(capsule), vcpus, { compiler }, host);
      clockOf(domain).goOn(recordedAt);
      rebindBackends(domain, (port) => cpu.tell(domid, port));
      peers.enter(domain);
      cpu.place(new PlacedDomain(domain, compiler));
      return null;
    }),
    spread(domid, cpus) {
      const placed = get(domid);
      const { domain } = placed;
      domain.threads.spread(cpus);
      cpu.reconsider(placed);
      return { capsule: domain.capsule.shape, origin: clockOf(domain).hostTime(0) };
    },
    lend: ({ domid, capsule, vcpus, origin, thread, weight, cap }) => withCompiler((compiler) => {
      const domain = takeUpDomain(domid, Capsule.attach(capsule), vcpus, { compiler }, host, thread);
      clockOf(domain).agree(origin);
      domain.threads.locked(() => rebindBackends(domain, (port) => cpu.tell(domid, port)));
      domctl(DOMAIN_0).scheduler_op(domain, weight, cap);
      peers.enter(domain);
      cpu.place(new PlacedDomain(domain, compiler));
      return null;
    }),
    withdraw(domid) {
      if (cpu.get(domid)) drop(domid);
      return null;
    },
    detach(domid) {
      const { domain } = drop(domid);
      domain.threads.spread([cpu.id]);
      return { domid, capsule: domain.capsule.shape, vcpus: domain.vcpus.length, recordedAt: clockOf(domain).record() };
    },
    destroy(domid) {
      const announcement = peers.announcement(domid);
      const domain = cpu.get(domid) || !announcement ? drop(domid).domain : corpseOf(domid, Capsule.attach(announcement.capsule), announcement.vcpus, host);
      domain.mm.peers = peers;
      domctl(DOMAIN_0).destroydomain(domain);
      return null;
    },
    announce(announcement) {
      peers.announce(announcement);
      return null;
    },
    forget(domid) {
      peers.forget(domid);
      return null;
    },
    pause(domid) {
      const placed = get(domid);
      domctl(DOMAIN_0).pausedomain(placed.domain);
      cpu.reconsider(placed);
      return null;
    },
    unpause(domid) {
      const placed = get(domid);
      domctl(DOMAIN_0).unpausedomain(placed.domain);
      cpu.awaken(placed);
      return null;
    },
    crash(domid, why) {
      const placed = get(domid);
      placed.domain.threads.locked(() => sched_op(DOMAIN_0).remote_shutdown(placed.domain, why));
      cpu.end(placed);
      return null;
    },
    contexts: (which) => domctl(DOMAIN_0).getvcpucontext(typeof which === 'number' ? get(which).domain : takeUpDomain(which.domid, Capsule.attach(which.capsule), which.vcpus, {}, host)),
    share(domid, weight, cap) {
      domctl(DOMAIN_0).scheduler_op(get(domid).domain, weight, cap);
      return null;
    },
    trace(ring) {
      cpu.trace(ring && new TraceRing(ring));
      return null;
    },
    debugKey: (key) => cpu.debugKey(key),
    maxMemory(domid, frames) {
      domctl(DOMAIN_0).max_mem(get(domid).domain, frames);
      return null;
    },
    notify(domid, port) {
      const placed = get(domid);
      cpu.disturb(placed, () => notifyFromBackend(placed.domain, port));
      return null;
    },
    collect() {
      collect();
      return null;
    },
    deliver(domid, port, from) {
      get(domid).domain.notify(port, from);
      return null;
    },
  };
}
