// `xenith trace`: what all domains do for some seconds.

import { setTimeout as wait } from 'node:timers/promises';
import { DomainError, type Domains } from '#toolstack/lifecycle/domains.ts';
import { chromeTrace } from '#toolstack/trace/chrome-trace.ts';
import { textPieces, writeOutput } from '../output-file.ts';

/** What is kept of all CPUs together: 40 MiB, a second or more of domains that do nothing but hypercalls. Of one CPU: 1.25 MiB at least. */
const RECORDS = 1 << 19, FEWEST = 1 << 14;
const LONGEST = 3600;

/** @throws DomainError, OutputError */
export async function takeTrace(domains: Domains, seconds: number, file: string): Promise<void> {
  if (!(seconds > 0 && seconds <= LONGEST)) throw new DomainError(`a trace takes up to ${LONGEST} seconds, not ${seconds}`);
  const names = new Map<number, string>();
  const note = (): void => { for (const { domid, spec } of domains.list()) names.set(domid, spec.name); };
  const rings = await domains.beginTrace(Math.max(FEWEST, RECORDS / 2 ** Math.ceil(Math.log2(domains.cpuCount))));
  note();
  try {
    await wait(seconds * 1000);
    note();
  } finally {
    await domains.endTrace();
  }
  await writeOutput('trace', file, textPieces(chromeTrace(rings, names)));
}
