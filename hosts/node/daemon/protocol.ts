// The local API of the daemon: a connection carries one request, a line of JSON, and its answer, another. Behind the answer to
// `console` the connection is the console, byte for byte in both directions.

import type { DomainStatistics, VcpuStatistics } from '#hypervisor/statistics.ts';
import type { DomainSpec } from '#toolstack/lifecycle/managed-domain.ts';

/** Where kernel and initrd are files, their paths are absolute. Without a kernel the default guest is started. */
export interface CreateRequest extends Omit<DomainSpec, 'uuid' | 'images' | 'affinity' | 'maxmem' | 'maxvcpus'> {
  /** as much and as many as it begins with, unless said otherwise */
  readonly maxmem?: number;
  readonly maxvcpus?: number;
  readonly uuid?: string;
  /** CPUs that the domain may run on, by vCPU, as in xl.cfg: "0-3,^1" */
  readonly cpus?: readonly string[];
  readonly paused: boolean;
}
export type Request =
  | { readonly command: 'create'; readonly create: CreateRequest }
  | { readonly command: 'list' | 'list-long' | 'vcpus' | 'info' }
  /** `touched`: look at what memory is in use, which takes its time */
  | { readonly command: 'top'; readonly touched: boolean }
  | { readonly command: 'dmesg'; readonly clear: boolean }
  | { readonly command: 'sysrq'; readonly domain: string; readonly key: string }
  | { readonly command: 'console' | 'destroy' | 'shutdown' | 'reboot' | 'pause' | 'unpause'; readonly domain: string }
  /** `file`: absolute path, written by the daemon; it stands still meanwhile unless `live`, and is crashed afterwards if `crash` */
  | { readonly command: 'dump-core'; readonly domain: string; readonly file: string; readonly live: boolean; readonly crash: boolean }
  /** `file`: absolute path, written by the daemon when the seconds are over */
  | { readonly command: 'trace'; readonly seconds: number; readonly file: string }
  | { readonly command: 'debug-keys'; readonly keys: string }
  | { readonly command: 'rename'; readonly domain: string; readonly name: string }
  | { readonly command: 'mem-set' | 'mem-max'; readonly domain: string; readonly kib: number }
  | { readonly command: 'vcpu-set'; readonly domain: string; readonly vcpus: number; readonly ignoreHost: boolean }
  /** `cpus` as in xl.cfg */
  | { readonly command: 'pin'; readonly domain: string; readonly vcpu: number | 'all'; readonly cpus: string }
  | { readonly command: 'share'; readonly domain: string; readonly weight: number | undefined; readonly cap: number | undefined };

export interface DomainInfo {
  readonly domid: number;
  readonly name: string;
  readonly uuid: string;
  /** MiB that it has, is to have, and may be told to have */
  readonly memory: number;
  readonly target: number;
  readonly maxmem: number;
  /** that are online, and that it may have */
  readonly vcpus: number;
  readonly maxvcpus: number;
  /** share of the processor: hypervisor/credit.ts */
  readonly weight: number;
  readonly cap: number;
  /** physical CPU that it is on */
  readonly cpu: number;
  /** as `xl list` has it: rbpscd */
  readonly state: string;
  /** seconds of processor time */
  readonly time: number;
  /** seconds since its creation */
  readonly uptime: number;
  /** why it was shut down (SHUTDOWN in public/sched.h); undefined while it runs */
  readonly shutdownReason?: number | undefined;
}
/** A domain, and what it was made from. */
export type LongInfo = DomainInfo & Partial<Pick<DomainSpec, 'kernel' | 'ramdisk' | 'cmdline' | 'onPoweroff' | 'onReboot' | 'onCrash'>>;
export interface VcpuInfo {
  readonly domid: number;
  readonly name: string;
  readonly vcpu: number;
  /** undefined: it is not online */
  readonly cpu: number | undefined;
  readonly running: boolean;
  readonly blocked: boolean;
  /** seconds that it has run */
  readonly time: number;
  /** physical CPUs that it may run on: "all", or as in xl.cfg */
  readonly affinity: string;
}
/** The machine, in the words and the order of `xl info`. */
export type HostInfo = Readonly<Record<string, string | number>>;
/** The machine at one moment. */
export interface TopSample {
  /** seconds, from any origin: CPU time between two samples is measured with it */
  readonly time: number;
  /** of Xen */
  readonly version: string;
  readonly cpus: number;
  readonly mhz: number;
  /** KiB */
  readonly memory: number;
  readonly free: number;
  readonly domains: readonly TopDomain[];
}
export interface TopDomain {
  readonly domid: number;
  readonly name: string;
  readonly state: string;
  /** seconds of processor time */
  readonly time: number;
  /** KiB that it owns, and that it may own; no limit for Domain-0, whose memory is the daemon's */
  readonly memory: number;
  readonly maxMemory: number | undefined;
  /** KiB that hold anything but zeros, as far as it has been looked, if that was asked for */
  readonly touched: number | undefined;
  readonly vcpus: readonly TopVcpu[];
  readonly machine: DomainStatistics['machine'] | undefined;
}
/** `byHypercall`: those that it has made, by name */
export type TopVcpu = Omit<VcpuStatistics, 'byHypercall'> & { readonly byHypercall: Readonly<Record<string, number>> };
export type Answer<T> = { readonly ok: true; readonly result: T } | { readonly ok: false; readonly error: string };
