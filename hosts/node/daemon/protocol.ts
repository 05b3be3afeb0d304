// The local API of the daemon: a connection carries one request, a line of JSON, and its answer, another. Behind the answer to
// `console` the connection is the console, byte for byte in both directions.

import type { DomainSpec } from '#toolstack/lifecycle/domains.ts';

/** Where kernel and initrd are files, their paths are absolute. Without a kernel the default guest is started. */
export interface CreateRequest extends Omit<DomainSpec, 'uuid' | 'images'> {
  readonly uuid?: string;
  readonly kernel?: string;
  readonly ramdisk?: string;
  readonly cmdline: string;
  readonly paused: boolean;
}
export type Request =
  | { readonly command: 'create'; readonly create: CreateRequest }
  | { readonly command: 'list' }
  | { readonly command: 'console' | 'destroy' | 'shutdown' | 'reboot' | 'pause' | 'unpause'; readonly domain: string }
  | { readonly command: 'rename'; readonly domain: string; readonly name: string }
  | { readonly command: 'share'; readonly domain: string; readonly weight: number | undefined; readonly cap: number | undefined };

export interface DomainInfo {
  readonly domid: number;
  readonly name: string;
  readonly uuid: string;
  /** MiB */
  readonly memory: number;
  readonly vcpus: number;
  /** share of the processor: hypervisor/credit.ts */
  readonly weight: number;
  readonly cap: number;
  /** as `xl list` has it: rbpscd */
  readonly state: string;
  /** seconds of processor time */
  readonly time: number;
  /** seconds since its creation */
  readonly uptime: number;
}
export type Answer<T> = { readonly ok: true; readonly result: T } | { readonly ok: false; readonly error: string };
