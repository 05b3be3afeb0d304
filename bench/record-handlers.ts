// Writes machine/engine/common-handlers.json anew: boots guests and collects the handlers that they come upon.
// node bench/record-handlers.ts KERNEL:INITRD[:COMMAND LINE]…

import { readFileSync, writeFileSync } from 'node:fs';
import { rowText, variantText } from '#machine/engine/common-handlers.ts';
import type { Interpreter } from '#machine/engine/interpreter.ts';
import { runDomain, skipToNextTimer } from '#hypervisor/sched.ts';
import { nodeHost } from '#hosts/node/host.ts';
import { createDomain } from '#toolstack/lifecycle/create-domain.ts';
import { Store } from '#toolstack/xenstore/store.ts';

const rows = new Map<string, Set<string>>();
for (const argument of process.argv.slice(2)) {
  const [kernel, initrd, commandLine = 'console=hvc0 panic=-1'] = argument.split(':') as [string, string, string?];
  const config = { domid: 1, name: 'record', uuid: '00000000-0000-0000-0000-000000000001', memory: 256, vcpus: 2, deterministic: true, commandLine };
  const { domain } = createDomain({ ...config, kernel: readFileSync(kernel), initrd: readFileSync(initrd) }, nodeHost(() => undefined), new Store(), () => undefined);
  for (;;) {
    const { reason } = runDomain(domain, 1e9);
    if (reason === 'shutdown' || (reason === 'blocked' && !skipToNextTimer(domain))) break;
  }
  for (const spec of (domain.machine as Interpreter).handlersMade) {
    const row = rowText(spec);
    rows.set(row, (rows.get(row) ?? new Set()).add(variantText(spec)));
  }
  console.log(`${kernel}: ${[...rows.values()].reduce((n, s) => n + s.size, 0)} handlers so far`);
}
const list = Object.fromEntries([...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([row, set]) => [row, [...set].sort().join(' ')]));
writeFileSync(new URL('../machine/engine/common-handlers.json', import.meta.url), `${JSON.stringify(list, null, 1)}\n`);
