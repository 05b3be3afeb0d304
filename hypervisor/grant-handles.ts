// Handles: a domain's mappings of grants, its own and others' (Xen's maptrack table).
//
// A handle that is free is in a list, first freed, first used again; others were never in use.

import { assert } from '#base/assert.ts';
import type { Capsule } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import { grant_table } from './grant-entry.ts';
import { DOMAIN_STATE } from './layout.ts';

export const NR_HANDLES = 12288;

/** One mapping, at DOMAIN_STATE.maptrack + 16 × handle. */
export const grant_mapping = struct('grant_mapping', 16, {
  flags: 'u32', // GNTMAP of what is still mapped; 0: free
  ref: 'u32', // of the granter; of a free handle: the next free one + 1
  domid: 'u16', // the granter
  reserved: 'u16',
  frame: 'u32', // the granted frame, by the number that it has in this domain
});
export type Mapping = ReturnType<typeof grant_mapping.on>;

const STATE = DOMAIN_STATE.grantTable >>> 2;
const HANDLES = STATE + (grant_table.offset.handles >>> 2);
const FREE_FIRST = STATE + (grant_table.offset.free_first >>> 2), FREE_LAST = STATE + (grant_table.offset.free_last >>> 2);

const views = new WeakMap<Capsule, Mapping>();
/** The record of a handle below NR_HANDLES; the view is used again by the next call for the same domain. */
function mappingOf(c: Capsule, handle: number): Mapping {
  let view = views.get(c);
  if (!view) views.set(c, view = grant_mapping.on(c.buffer));
  return view.at(DOMAIN_STATE.maptrack + handle * grant_mapping.size) as Mapping;
}

/** Handles [0, this) were in use at some time. */
export function nrHandles(c: Capsule): number { return c.u32[HANDLES] as number; }

/** The mapping with a handle, undefined when there is none. */
export function findMapping(c: Capsule, handle: number): Mapping | undefined {
  if (handle >= nrHandles(c)) return undefined;
  const mapping = mappingOf(c, handle);
  return mapping.flags === 0 ? undefined : mapping;
}

/** True when there is a free handle. */
export function hasFreeHandle(c: Capsule): boolean { return c.u32[FREE_FIRST] !== 0 || nrHandles(c) < NR_HANDLES; }

/** Notes a mapping. There must be a free handle. @param flags GNTMAP, not 0 @returns its handle */
export function noteMapping(c: Capsule, flags: number, domid: number, ref: number, frame: number): number {
  assert(hasFreeHandle(c) && flags !== 0, 'a handle is free');
  const first = c.u32[FREE_FIRST] as number;
  const handle = first === 0 ? nrHandles(c) : first - 1;
  const mapping = mappingOf(c, handle);
  if (first === 0) c.u32[HANDLES] = handle + 1;
  else c.u32[FREE_FIRST] = mapping.ref;
  if (c.u32[FREE_FIRST] === 0) c.u32[FREE_LAST] = 0;
  mapping.flags = flags;
  mapping.domid = domid;
  mapping.ref = ref;
  mapping.frame = frame;
  return handle;
}

/** Frees a handle. */
export function forgetMapping(c: Capsule, handle: number): void {
  const last = c.u32[FREE_LAST] as number;
  if (last === 0) c.u32[FREE_FIRST] = handle + 1;
  else mappingOf(c, last - 1).ref = handle + 1;
  c.u32[FREE_LAST] = handle + 1;
  const mapping = mappingOf(c, handle);
  mapping.flags = 0;
  mapping.ref = 0;
}
