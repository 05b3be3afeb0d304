// Creates a domain, as xl create does: memory, hypervisor state, kernel, page tables, first vCPU, and the wires of its
// two early devices. The domain does not run until its scheduler is called (hypervisor/sched.ts).

import { GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE } from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import { Capsule, MAX_VCPUS, PAGE_SIZE } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { ConsoleBackend } from '#devices/console/console-backend.ts';
import { Domain } from '#hypervisor/domain.ts';
import { allocUnboundFor, bindBackend, notifyFromBackend } from '#hypervisor/event-backend.ts';
import { systemCallPaths } from '#hypervisor/trap-paths.ts';
import { machineHooks } from '#hypervisor/hooks.ts';
import { fillHypercallPage } from '#hypervisor/hypercall-page.ts';
import { pinGrant } from '#hypervisor/grant-active.ts';
import { initDomainState, startBootVcpu } from '#hypervisor/init.ts';
import { adoptInitialTables, initMemory } from '#hypervisor/mm/domain-mm.ts';
import { xenFrameCount } from '#hypervisor/mm/m2p.ts';
import { setGuestHandle } from '#hypervisor/version.ts';
import { Interpreter, scratchSize } from '#machine/engine/interpreter.ts';
import type { RegionCompiler } from '#machine/engine/region-job.ts';
import type { Machine, MachineHooks } from '#machine/machine.ts';
import { BuilderError } from '../builder/builder-error.ts';
import { buildDomain, memoryNeeded } from '../builder/builder.ts';
import { DECOMPRESSORS, type Decompressors } from '../builder/decompress/decompressors.ts';
import { enterKernel } from '../builder/first-vcpu.ts';
import { loadKernel, type KernelImage } from '../builder/kernel-image.ts';
import { introduceDomain } from '../xenstore/domain-tree.ts';
import { serveRing, type RingServer } from '../xenstore/ring.ts';
import type { Store } from '../xenstore/store.ts';

export interface DomainConfig {
  readonly domid: number;
  readonly name: string;
  readonly uuid: string;
  /** a file's bytes, or one that is loaded already, for many domains */
  readonly kernel: Uint8Array | KernelImage;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
  /** guest RAM in MiB */
  readonly memory: number;
  readonly vcpus: number;
  readonly deterministic: boolean;
  /** executions after which guest code is compiled; 0: never, 1: at once; else as the machine thinks best */
  readonly compileAfter?: number | undefined;
  /** compiles the domain's code on another thread; not for deterministic domains */
  readonly compiler?: RegionCompiler | undefined;
  readonly decompressors?: Decompressors;
  /** makes another machine than the ordinary one, for tests */
  readonly machine?: MachineMaker;
}

export interface MachineMaker {
  /** bytes of scratch that it needs for a domain of so many frames */
  scratchSize(frames: number): number;
  make(...parameters: ConstructorParameters<typeof Interpreter>): Machine;
}
const ORDINARY: MachineMaker = { scratchSize, make: (...parameters) => new Interpreter(...parameters) };

export interface CreatedDomain {
  readonly domain: Domain;
  readonly console: ConsoleBackend;
  readonly xenstore: RingServer;
}

/**
 * Creates a domain.
 * @param output takes what the guest writes to its console
 * @throws BuilderError for kernels, sizes and images that cannot be
 */
export function createDomain(config: DomainConfig, host: Host, store: Store, output: (bytes: Uint8Array) => void): CreatedDomain {
  const decompressors = config.decompressors ?? DECOMPRESSORS;
  checkSizes(config);
  const image = config.kernel instanceof Uint8Array ? loadKernel(config.kernel, decompressors) : config.kernel;
  const guestFrames = config.memory * 256;
  const needed = memoryNeeded(image, config.initrd?.length ?? 0);
  if (needed > guestFrames * PAGE_SIZE) {
    throw new BuilderError('too-little-memory', `too little memory: kernel and initrd need at least ${Math.ceil(needed / 2 ** 20)} MiB, the domain has ${config.memory} MiB`, needed);
  }
  const maker = config.machine ?? ORDINARY;
  const capsule = newCapsule(guestFrames, maker);
  const hooks = {} as MachineHooks; // the domain, which answers them, needs the machine first
  const machine = maker.make(capsule, config.vcpus, hooks, { systemCalls: systemCallPaths, compileAfter: config.compileAfter, compiler: config.deterministic ? undefined : config.compiler });
  const domain = new Domain(config.domid, machine, host);
  Object.assign(hooks, machineHooks(domain));
  initMemory(domain);
  initDomainState(domain, { deterministic: config.deterministic });
  setGuestHandle(domain, Uint8Array.from(config.uuid.replaceAll('-', '').match(/../g) ?? [], (byte) => parseInt(byte, 16)));

  const storePort = allocUnboundFor(domain, 0);
  const consolePort = allocUnboundFor(domain, 0);
  const entry = buildDomain({
    capsule, image, commandLine: config.commandLine, storePort, consolePort, fillHypercallPage, decompressors, ...(config.initrd ? { initrd: config.initrd } : {}),
  });
  const rc = adoptInitialTables(domain, entry.l4Mfn);
  if (rc !== 0) throw new BuilderError('corrupt', `the initial page tables break the rules of page types (error ${-rc})`);
  const v = domain.vcpus[0];
  if (!v) throw new RangeError('a domain has at least one vCPU');
  enterKernel(machine, v.cpu, entry);
  v.state.kernel_sp = entry.rsp;
  v.state.kernel_ss = BigInt(v.cpu.selector(2));

  introduceDomain(store, {
    domid: config.domid, name: config.name, uuid: config.uuid, memoryKiB: config.memory * 1024, vcpus: config.vcpus,
    storePort, storeMfn: entry.storeMfn, consolePort, consoleMfn: entry.consoleMfn,
  });
  const xenstore = serveRing(store, config.domid, capsule, ring(domain, GNTTAB_RESERVED_XENSTORE), () => notifyFromBackend(domain, storePort));
  bindBackend(domain, storePort, () => xenstore.onEvent());
  const console = new ConsoleBackend(capsule, ring(domain, GNTTAB_RESERVED_CONSOLE), output, () => notifyFromBackend(domain, consolePort));
  bindBackend(domain, consolePort, () => console.onEvent());
  startBootVcpu(domain);
  return { domain, console, xenstore };
}

/** A capsule has 4 GiB with all that is in it. */
const MAX_FRAMES = 2 ** 20;

function checkSizes({ memory, vcpus }: DomainConfig): void {
  const frames = memory * 256;
  if (!Number.isInteger(frames) || frames < 1 || frames > MAX_FRAMES) throw new BuilderError('bad-size', `a domain cannot have ${memory} MiB of memory`);
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS) throw new BuilderError('bad-size', `a domain has 1 to ${MAX_VCPUS} vCPUs, not ${vcpus}`);
}

function newCapsule(guestFrames: number, maker: MachineMaker): Capsule {
  const xenFrames = xenFrameCount(guestFrames);
  try {
    return new Capsule(guestFrames, xenFrames, maker.scratchSize(guestFrames + xenFrames));
  } catch (error) {
    if (error instanceof RangeError) throw new BuilderError('bad-size', `no room for a domain of ${guestFrames / 256} MiB: ${error.message}`);
    throw error;
  }
}

/** Capsule offset of a ring page that the builder granted to Domain-0: held, so that it stays an ordinary page. */
function ring(domain: Domain, ref: number): number {
  const offset = pinGrant(domain, ref, true);
  assert(offset >= 0, 'the builder granted the ring pages');
  return offset;
}
