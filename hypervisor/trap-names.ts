// Exception vectors, and their names in traces and reports.

/** Vectors (Intel SDM vol. 3, 6.3.1). */
export const TRAP = {
  divide_error: 0, debug: 1, nmi: 2, int3: 3, overflow: 4, bounds: 5, invalid_op: 6, no_device: 7, double_fault: 8, invalid_tss: 10,
  no_segment: 11, stack_error: 12, gp_fault: 13, page_fault: 14, copro_error: 16, alignment_check: 17, machine_check: 18, simd_error: 19,
} as const;

const NAMES: readonly string[] = Object.entries(TRAP).reduce<string[]>((names, [name, n]) => { names[n] = name; return names; }, []);
/** A vector as Xen's messages name it. */
export function trapName(vector: number): string { return NAMES[vector] ?? `vector ${vector}`; }
