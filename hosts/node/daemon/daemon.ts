// `xenith daemon`: the machine that runs the domains, until it is told to stop.

import { Domains } from '#toolstack/lifecycle/domains.ts';
import { PhysicalCpu } from '#toolstack/lifecycle/physical-cpu.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { NODE_DECOMPRESSORS } from '../decompressors.ts';
import { nodeHost } from '../host.ts';
import { NodePacer } from '../pacer.ts';
import { CompilerThread } from '../region-compiler.ts';
import { storePace, XenstoreSocket } from '../xenstore-socket.ts';
import { ApiServer } from './server.ts';
import { socketPath, xenstorePath } from './state-dir.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs the daemon to its end.
 * @param log lines for the administrator
 * @throws AlreadyRunning
 */
export async function runDaemon(state: string, log: (line: string) => void): Promise<void> {
  const host = nodeHost((level, message) => { if (level === 'warning' || level === 'error') log(message); });
  const cpu = new PhysicalCpu(new NodePacer(), () => host.now());
  const compilers = new CompilerThread((reason) => log(`guest code is compiled more slowly from now on: ${reason}`));
  const store = new Store(storePace);
  const domains = new Domains(store, host, cpu, { compiler: () => compilers.open(), decompressors: NODE_DECOMPRESSORS }, log);
  const server = new ApiServer(domains, socketPath(state));
  await server.listen();
  const xenstore = await XenstoreSocket.listen(store, xenstorePath(state));
  for (const signal of SIGNALS) process.on(signal, () => cpu.stop());
  log(`ready; state in ${state}`);
  try {
    await cpu.run();
  } finally {
    for (const domain of domains.list()) domains.destroy(domain);
    server.close();
    await xenstore.close();
    log('ended');
  }
}
