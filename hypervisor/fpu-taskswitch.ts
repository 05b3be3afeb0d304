// fpu_taskswitch: CR0.TS by hypercall.

import type { Hypercall } from './hypercall.ts';

/** fpu_taskswitch(set): with TS set, the next x87 or SSE instruction raises #NM, which clears it again. */
export const do_fpu_taskswitch: Hypercall = (v, a) => {
  v.setTaskSwitched(a.int(0) !== 0);
  return 0;
};
