// The small guests as tests take them, and what is expected of each.

import assert from 'node:assert/strict';
import { SHUTDOWN } from '#abi/xen.ts';
import { auditDomain } from '#hypervisor/testing/audit-domain.ts';
import { buildGuests, prebuilt, tools } from './build.ts';
import { linesOk } from './lines-ok.ts';
import type { GuestRun } from './run-guest.ts';

/** Executions after which code is compiled. */
export const ENGINES: Readonly<Record<string, number>> = { interpreted: 0, 'compiled at once': 1, 'compiled soon': 20 };

/** What the compiler makes of the sources, where there is one. */
export const built: ReadonlyMap<string, Uint8Array> | undefined = tools() === undefined ? undefined : buildGuests();
export const image = (name: string): Uint8Array => built?.get(name) ?? prebuilt(name);

/** Every line says ok, all are there, and it powered off. */
export function endedWell({ output, domain }: Pick<GuestRun, 'output' | 'domain'>): void {
  linesOk(output);
  assert.equal(domain.shutdownReason, SHUTDOWN.poweroff, `${domain.crashText ?? 'it did not end'}\n${output}`);
}
/** The same, and the references on its frames add up. */
export function allOk(run: GuestRun): void {
  endedWell(run);
  assert.deepEqual(auditDomain(run.domain), []);
}
