// A domain on the thread that runs it: made from a kernel, or taken up again from its capsule after it was moved. What
// Domain-0 does for it, the store and the console, is connect-domain.ts's, on whatever thread that is.

import { GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE } from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import { Capsule, MAX_VCPUS, PAGE_SIZE } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { uuidBytes } from '#base/uuid.ts';
import type { Peers } from '#hypervisor/domain-registry.ts';
import { Domain } from '#hypervisor/domain.ts';
import { allocUnboundFor } from '#hypervisor/event-backend.ts';
import { systemCallPaths } from '#hypervisor/trap-paths.ts';
import { machineHooks } from '#hypervisor/hooks.ts';
import { fillHypercallPage } from '#hypervisor/hypercall-page.ts';
import { pinGrant } from '#hypervisor/grant-backend.ts';
import { DOMAIN_0, domctl } from '#hypervisor/management.ts';
import { adoptInitialTables } from '#hypervisor/mm/domain-mm.ts';
import { xenFrameCount } from '#hypervisor/mm/m2p.ts';
import { distantMachine } from '#machine/distant-machine.ts';
import { Interpreter, type InterpreterOptions, scratchSize } from '#machine/engine/interpreter.ts';
import type { RegionCompiler } from '#machine/engine/region-job.ts';
import { setMachines } from '#machine/engine/siblings.ts';
import type { Machine, MachineHooks } from '#machine/machine.ts';
import { BuilderError } from '../builder/builder-error.ts';
import { buildDomain, memoryNeeded } from '../builder/builder.ts';
import type { CommonBytes } from '../builder/common-bytes.ts';
import { DECOMPRESSORS, type Decompressors } from '../builder/decompress/decompressors.ts';
import { enterKernel } from '../builder/first-vcpu.ts';
import { loadKernel, type KernelImage } from '../builder/kernel-image.ts';

/** What a domain is made from. */
export interface DomainImages {
  /** a file's bytes, or one that is loaded already, for many domains */
  readonly kernel: Uint8Array | KernelImage;
  readonly initrd?: Uint8Array;
  /** the same unzipped, for many domains */
  readonly unzippedInitrd?: CommonBytes | undefined;
  readonly commandLine: string;
}
/** When and how guest code is compiled. */
export interface Compiling {
  /** executions after which guest code is compiled; 0: never, 1: at once; else as the machine thinks best */
  readonly compileAfter?: number | undefined;
  /** instructions that a vCPU executes before any is, where that is left to the machine; 0 unless said otherwise */
  readonly compileFrom?: number | undefined;
  /** compiles the domain's code on another thread; not for deterministic domains */
  readonly compiler?: RegionCompiler | undefined;
}
export interface DomainConfig extends DomainImages, Compiling {
  readonly domid: number;
  readonly name: string;
  readonly uuid: string;
  /** guest RAM in MiB */
  readonly memory: number;
  /** MiB that it may have later, `memory` unless said otherwise */
  readonly maxmem?: number;
  /** all that it may ever have */
  readonly vcpus: number;
  /** how many machines it has room for, one unless said otherwise: so many CPUs can run its vCPUs at the same time */
  readonly machines?: number;
  readonly deterministic: boolean;
  readonly decompressors?: Decompressors;
  /** the domains that it shall be among; else it is alone with Domain-0 */
  readonly peers?: Peers;
  /** makes another machine than the ordinary one, for tests */
  readonly machine?: MachineMaker;
}

export interface MachineMaker {
  /** bytes of scratch that it needs for a domain of so many frames */
  scratchSize(frames: number, machines: number): number;
  make(...parameters: ConstructorParameters<typeof Interpreter>): Machine;
}
const ORDINARY: MachineMaker = { scratchSize, make: (...parameters) => new Interpreter(...parameters) };

/** The guest's ends of its two early devices: event channels and frames of the rings, which are held. */
export interface DomainWires {
  readonly storePort: number;
  readonly storeMfn: number;
  readonly consolePort: number;
  readonly consoleMfn: number;
}
export interface MadeDomain {
  readonly domain: Domain;
  readonly wires: DomainWires;
}

/**
 * Makes a domain: memory, hypervisor state, kernel, page tables, first vCPU. It may run when its wires are connected.
 * @throws BuilderError for kernels, sizes and images that cannot be
 */
export function makeDomain(config: DomainConfig, host: Host): MadeDomain {
  const decompressors = config.decompressors ?? DECOMPRESSORS;
  checkSizes(config);
  const image = config.kernel instanceof Uint8Array ? loadKernel(config.kernel, decompressors) : config.kernel;
  const guestFrames = (config.maxmem ?? config.memory) * 256, pages = config.memory * 256;
  const needed = memoryNeeded(image, config.initrd?.length ?? 0);
  if (needed > pages * PAGE_SIZE) {
    throw new BuilderError('too-little-memory', `too little memory: kernel and initrd need at least ${Math.ceil(needed / 2 ** 20)} MiB, the domain has ${config.memory} MiB`, needed);
  }
  const maker = config.machine ?? ORDINARY;
  const capsule = newCapsule(guestFrames, maker, config.machines ?? 1, host);
  const domain = assemble(config.domid, capsule, config.vcpus, host, maker, 0, { compileAfter: config.compileAfter, compileFrom: config.compileFrom, compiler: config.deterministic ? undefined : config.compiler });
  domctl(DOMAIN_0).createdomain(domain, { pages, handle: uuidBytes(config.uuid), deterministic: config.deterministic });

  const storePort = allocUnboundFor(domain, 0);
  const consolePort = allocUnboundFor(domain, 0);
  const entry = buildDomain({
    capsule, pages, image, commandLine: config.commandLine, storePort, consolePort, fillHypercallPage, decompressors, ...(config.initrd ? { initrd: config.initrd } : {}), unzippedInitrd: config.unzippedInitrd, commons: host.common,
  });
  const rc = adoptInitialTables(domain, entry.l4Mfn);
  if (rc !== 0) throw new BuilderError('corrupt', `the initial page tables break the rules of page types (error ${-rc})`);
  const v = domain.vcpus[0];
  if (!v) throw new RangeError('a domain has at least one vCPU');
  enterKernel(domain.machine, v.cpu, entry);
  v.state.kernel_sp = entry.rsp;
  v.state.kernel_ss = BigInt(v.cpu.selector(2));
  domctl(DOMAIN_0).setvcpucontext(domain);
  holdRing(domain, GNTTAB_RESERVED_XENSTORE, entry.storeMfn);
  holdRing(domain, GNTTAB_RESERVED_CONSOLE, entry.consoleMfn);
  (config.peers ?? domain.peers).add(domain);
  return { domain, wires: { storePort, storeMfn: entry.storeMfn, consolePort, consoleMfn: entry.consoleMfn } };
}

/**
 * Takes up a domain that ran elsewhere: all that it is lies in its capsule, what is remembered of it is made anew.
 * @param thread which of the domain's threads this is (hypervisor/domain-threads.ts); all but the first join those that run
 */
export function takeUpDomain(domid: number, capsule: Capsule, vcpus: number, compiling: Compiling, host: Host, thread = 0): Domain {
  return assemble(domid, capsule, vcpus, host, ORDINARY, thread, { ...compiling, takenUp: true, sibling: thread });
}

/** A capsule for a domain of one machine with so many frames of RAM, to be filled with what another one was. @throws BuilderError when there is no room */
export function capsuleToFill(guestFrames: number, host: Host): Capsule { return newCapsule(guestFrames, ORDINARY, 1, host); }

/** A domain that does not run any more, as far as it takes to destroy it. */
export function corpseOf(domid: number, capsule: Capsule, vcpus: number, host: Host): Domain { return new Domain(domid, distantMachine(capsule, vcpus), host); }

function assemble(domid: number, capsule: Capsule, vcpus: number, host: Host, maker: MachineMaker, thread: number, options: InterpreterOptions): Domain {
  const hooks = {} as MachineHooks; // the domain, which answers them, needs the machine first
  const domain = new Domain(domid, maker.make(capsule, vcpus, hooks, { systemCalls: systemCallPaths, kept: host.kept, ...options }), host, thread);
  Object.assign(hooks, machineHooks(domain));
  return domain;
}

/** A capsule has 4 GiB with all that is in it. */
const MAX_FRAMES = 2 ** 20;

function checkSizes({ memory, maxmem = memory, vcpus }: DomainConfig): void {
  for (const frames of [memory * 256, maxmem * 256]) if (!Number.isInteger(frames) || frames < 1 || frames > MAX_FRAMES) throw new BuilderError('bad-size', `a domain cannot have ${frames / 256} MiB of memory`);
  if (maxmem < memory) throw new BuilderError('bad-size', `maxmem, ${maxmem} MiB, is less than memory, which is ${memory}`);
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS) throw new BuilderError('bad-size', `a domain has 1 to ${MAX_VCPUS} vCPUs, not ${vcpus}`);
}

/** @param machines fewer where they do not fit */
function newCapsule(guestFrames: number, maker: MachineMaker, machines: number, host: Host): Capsule {
  const xenFrames = xenFrameCount(guestFrames);
  try {
    const capsule = new Capsule(guestFrames, xenFrames, maker.scratchSize(guestFrames + xenFrames, machines));
    host.inHugePages?.(capsule.memory);
    setMachines(capsule, machines);
    return capsule;
  } catch (error) {
    if (error instanceof RangeError && machines > 1) return newCapsule(guestFrames, maker, machines - 1, host);
    if (error instanceof RangeError) throw new BuilderError('bad-size', `no room for a domain of ${guestFrames / 256} MiB: ${error.message}`);
    throw error;
  }
}

/** Holds a ring page that the builder granted to Domain-0, so that it stays an ordinary page. */
function holdRing(domain: Domain, ref: number, mfn: number): void { assert(pinGrant(domain, ref, true) === domain.capsule.frame(mfn), 'the builder granted the ring pages'); }
