// What Xen keeps about a domain's memory beside the frame table.

import { struct } from '#base/struct.ts';
import { DOMAIN_STATE } from '../layout.ts';

/** Domain-wide state at DOMAIN_STATE.mm. The memory map (E820) follows at E820_TABLE. */
export const mm_state = struct('mm_state', 64, {
  tot_pages: 'u32', // frames of RAM that the domain owns
  max_pages: 'u32', // it may not own more
  vm_assist: ['u32', 2], // bitmap of VMASST_TYPE
  linear_entries: 'u32', // entries, in tables in use, that map a table of their own level
  free_hint: 'u32', // where the search for a free frame begins
  m2p_l3: 'u32', // frame of the L3 table of the read-only m2p mapping; 0: not made
  m2p_base: 'u32', // first frame of the m2p
  nr_e820: 'u32', // entries of the memory map; 0: none was set
  foreign_refs: 'u32', // references on frames and handles that others have by grants, or GONE (foreign-frames.ts)
  lingering: 'u32', // frames that wait to be freed, because a grant held them last
  dying: 'u32', // 1: the domain was destroyed
  pages_lock: 'u32', // 1: somebody takes free frames, or frees some (pages-lock.ts)
  reserved: ['u32', 3],
});
export const E820_TABLE = DOMAIN_STATE.mm + 0x400;
/** as many entries as fit the area */
export const E820_MAX = 128;
