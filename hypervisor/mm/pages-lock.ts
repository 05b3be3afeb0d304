// The lock of a domain's free frames: which there are, and how many it owns (mm_state: tot_pages, free_hint). The domain's own
// thread frees frames and takes them; another one that gives it a page may free those that a grant held last, and takes one
// (GNTTABOP_transfer).

import { withLock } from '#base/spin-lock.ts';
import { DOMAIN_STATE } from '../layout.ts';
import type { Mm } from './mm.ts';
import { mm_state } from './mm-state.ts';

const LOCK = (DOMAIN_STATE.mm + mm_state.offset.pages_lock) >>> 2;

/** Does something with the lock. It takes microseconds, or clears as many pages as it is about. */
export function withFreePages<T>(mm: Mm, body: () => T): T { return withLock(mm.u32, LOCK, body); }
