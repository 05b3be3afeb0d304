// Two or three domains that know each other, and what tests of grants do with them.

import {
  GNTMAP_host_map, GNTST, GNTTABOP, gnttab_map_grant_ref, gnttab_set_version, gnttab_unmap_grant_ref, grant_entry_v1, grant_full_page, grant_sub_page,
  grant_transitive, GTF_permit_access,
} from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import type { Fields, Struct, View } from '#base/struct.ts';
import { DomainRegistry } from '../domain-registry.ts';
import { grantVersion, markedFlags } from '../grant-entry.ts';
import { do_grant_table_op } from '../grant-table.ts';
import { XEN_FRAME } from '../layout.ts';
import { auditDomain } from './audit-domain.ts';
import { DomU, type Values } from './domu.ts';

/** Domains 1, 2, … of one machine. */
export function domains(n: number): DomU[] {
  const peers = new DomainRegistry();
  return Array.from({ length: n }, (_, i) => new DomU(1, { deterministic: true }, i + 1, peers));
}

export const pair = (): [a: DomU, b: DomU] => domains(2) as [DomU, DomU];

/** grant_table_op on one element; the status as a signed number. */
export function op<F extends Fields>(u: DomU, cmd: number, layout: Struct<F>, values: Values<F>): { rc: number; out: View<F>; status: number } {
  const { va, view } = u.put(layout, values);
  const rc = u.call(do_grant_table_op, cmd, va, 1);
  return { rc, out: view, status: ((view as unknown as { status: number }).status << 16) >> 16 };
}

export function setVersion(u: DomU, version: number): number { return op(u, GNTTABOP.set_version, gnttab_set_version, { version }).rc; }

function view<F extends Fields>(u: DomU, layout: Struct<F>, ref: number): View<F> {
  const { capsule } = u.fake;
  return layout.on(capsule.buffer).at(capsule.frame(XEN_FRAME.grantTable) + ref * layout.size);
}
export const entryV1 = (u: DomU, ref: number) => view(u, grant_entry_v1, ref);
export const fullPage = (u: DomU, ref: number) => view(u, grant_full_page, ref);
export const subPage = (u: DomU, ref: number) => view(u, grant_sub_page, ref);
export const transitive = (u: DomU, ref: number) => view(u, grant_transitive, ref);

/** The guest grants a page of its own to a domain, whichever version its table has. */
export function grant(u: DomU, ref: number, pfn: number, domid: number, flags = GTF_permit_access): void {
  const mfn = u.guest.mfn(pfn);
  if (grantVersion(u.domain.capsule) === 1) Object.assign(entryV1(u, ref), { domid, frame: mfn, flags });
  else Object.assign(fullPage(u, ref), { domid, pad0: 0, frame: BigInt(mfn), flags });
}
/** GTF_reading and GTF_writing of an entry, as the guest sees them. */
export const marks = (u: DomU, ref: number): number => markedFlags(u.domain.capsule, ref) & 0x18;

/** map_grant_ref at a page of the mapping guest's. */
export function map(u: DomU, pfn: number, granter: DomU, ref: number, flags = GNTMAP_host_map, host_addr = u.guest.va(pfn)): { status: number; handle: number; bus: bigint } {
  const { status, out } = op(u, GNTTABOP.map_grant_ref, gnttab_map_grant_ref, { host_addr, flags, ref, dom: granter.domain.domid });
  return { status, handle: out.handle, bus: out.dev_bus_addr };
}
/** The same, where it must succeed. */
export function mapped(...[u, pfn, granter, ref, flags]: Parameters<typeof map>): { handle: number; bus: bigint } {
  const { status, handle, bus } = map(u, pfn, granter, ref, flags);
  assert(status === GNTST.okay, `mapped, not ${status}`);
  return { handle, bus };
}
export function unmap(u: DomU, pfn: number, handle: number, dev_bus_addr = 0n): number {
  return op(u, GNTTABOP.unmap_grant_ref, gnttab_unmap_grant_ref, { host_addr: u.guest.va(pfn), handle, dev_bus_addr }).status;
}

/** What is wrong with the counts of these domains; empty when all is well. */
export function audit(...all: DomU[]): string[] {
  return all.flatMap(({ domain }) => auditDomain(domain, true).map((line) => `domain ${domain.domid}: ${line}`));
}
