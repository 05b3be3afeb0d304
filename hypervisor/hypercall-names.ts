// Hypercall numbers as text, for traces and reports.

import { HYPERVISOR } from '#abi/xen.ts';

const NAMES: readonly string[] = Object.entries(HYPERVISOR).reduce<string[]>((names, [name, n]) => { names[n] = name; return names; }, []);

/** The name of a hypercall, e.g. "mmu_update". */
export function hypercallName(number: number): string { return NAMES[number] ?? `hypercall ${number}`; }
