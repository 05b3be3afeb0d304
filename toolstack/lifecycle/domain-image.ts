// A domain as bytes, and a domain out of them: its capsule but for the scratch and what is zero, and what it has in the store. It goes
// on as if it had not been away, with another name and UUID if it is given one; only the time of day is not what it believes.
//
// An image says nothing of the version that its layouts are of: it is for the program that made it.

import { type Capsule, isZeroPage, PAGE_SIZE, VCPU_BASE } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { uuidBytes } from '#base/uuid.ts';
import { notifyFromBackend, rebindBackends } from '#hypervisor/event-backend.ts';
import { DOMAIN_0, domctl } from '#hypervisor/management.ts';
import { clockOf } from '#hypervisor/time.ts';
import { restoreClient, saveClient, type SavedClient } from '../xenstore/saved-client.ts';
import type { Store } from '../xenstore/store.ts';
import { connectDomain } from './connect-domain.ts';
import type { CreatedDomain } from './create-domain.ts';
import { capsuleToFill, type Compiling, type DomainConfig, type DomainWires, takeUpDomain } from './make-domain.ts';

/** What of an image is not pages: plain data. */
export interface ImageHead {
  readonly domid: number;
  readonly vcpus: number;
  /** MiB */
  readonly memory: number;
  readonly wires: DomainWires;
  readonly client: SavedClient;
  /** pages of the capsule that follow each other: the first one's number, and how many; in turn */
  readonly runs: readonly number[];
}
export interface DomainImage {
  readonly head: ImageHead;
  /** those of the runs, one after the other */
  readonly pages: Uint8Array;
}
/** Reads pages of an image, from a byte of them on. */
export type PageReader = (into: Uint8Array, from: number) => void;

/**
 * An image of a domain that stands still, on the thread that has it.
 * @param memory of the domain, in MiB
 * @returns undefined when something is under way between it and the store, or on its console
 */
export function saveDomain({ domain, wires, console, xenstore }: CreatedDomain, memory: number, store: Store): DomainImage | undefined {
  const client = xenstore.isIdle && console.isIdle ? saveClient(store, xenstore.connection) : undefined;
  if (!client) return undefined;
  clockOf(domain).record();
  const runs = usedRuns(domain.capsule);
  const pages = new Uint8Array(runs.reduce((sum, n, i) => (i % 2 === 1 ? sum + n : sum), 0) * PAGE_SIZE);
  eachRun(runs, (offset, bytes, from) => { pages.set(domain.capsule.u8.subarray(offset, offset + bytes), from); });
  return { head: { domid: domain.domid, vcpus: domain.vcpus.length, memory, wires, client, runs }, pages };
}

/**
 * A domain out of an image. It does not run until its scheduler is called.
 * @param output takes what the guest writes to its console
 * @returns late: nanoseconds by which the time of day is behind, in what the guest believes
 */
export function restoreDomain(
  { domid, vcpus, memory, wires, client, runs }: ImageHead, read: PageReader, { name, uuid, ...compiling }: Pick<DomainConfig, 'name' | 'uuid'> & Compiling, host: Host, store: Store, output: (bytes: Uint8Array) => void,
): CreatedDomain & { readonly late: number } {
  const capsule = capsuleToFill(memory * 256, host);
  eachRun(runs, (offset, bytes, from) => { read(capsule.u8.subarray(offset, offset + bytes), from); });
  const domain = takeUpDomain(domid, capsule, vcpus, compiling, host);
  domctl(DOMAIN_0).setdomainhandle(capsule, uuidBytes(uuid));
  domain.peers.add(domain);
  const late = clockOf(domain).updateWallClock();
  const { console, xenstore, onEvent } = connectDomain(store, { domid, name, uuid, memory, vcpus }, capsule, wires, output, (port) => notifyFromBackend(domain, port));
  restoreClient(store, xenstore.connection, client);
  rebindBackends(domain, onEvent);
  return { domain, wires, console, xenstore, late };
}

function eachRun(runs: readonly number[], body: (offset: number, bytes: number, from: number) => void): void {
  for (let i = 0, from = 0; i < runs.length; i += 2) {
    const bytes = (runs[i + 1] as number) * PAGE_SIZE;
    body((runs[i] as number) * PAGE_SIZE, bytes, from);
    from += bytes;
  }
}

/** The pages that hold anything, of what is saved. */
function usedRuns(capsule: Capsule): number[] {
  const runs: number[] = [];
  let begin = -1;
  for (let page = VCPU_BASE / PAGE_SIZE; page <= capsule.scratch / PAGE_SIZE; page++) {
    const used = page < capsule.scratch / PAGE_SIZE && !isZeroPage(capsule, page * PAGE_SIZE);
    if (used && begin < 0) begin = page;
    if (used || begin < 0) continue;
    runs.push(begin, page - begin);
    begin = -1;
  }
  return runs;
}
