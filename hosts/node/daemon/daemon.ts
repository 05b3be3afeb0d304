// `xenith daemon`: the machine that runs the domains, until it is told to stop. This thread is Domain-0.

import { Domains } from '#toolstack/lifecycle/domains.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { nodeHost } from '../host.ts';
import { CompilerThread } from '../region-compiler.ts';
import { storePace, XenstoreSocket } from '../xenstore-socket.ts';
import { startCpuThread } from './cpu-thread.ts';
import { ApiServer } from './server.ts';
import { socketPath, xenstorePath } from './state-dir.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs the daemon to its end.
 * @param cpus how many physical CPUs
 * @param log lines for the administrator
 * @throws AlreadyRunning
 */
export async function runDaemon(state: string, cpus: number, log: (line: string) => void): Promise<void> {
  const host = nodeHost((level, message) => { if (level === 'warning' || level === 'error') log(message); });
  const compilers = new CompilerThread((reason) => log(`guest code is compiled more slowly from now on: ${reason}`));
  const store = new Store(storePace);
  const domains = new Domains(store, host, cpus, startCpuThread(compilers), log);
  const server = new ApiServer(domains, socketPath(state));
  await server.listen();
  const xenstore = await XenstoreSocket.listen(store, xenstorePath(state));
  const stopped = new Promise<void>((stop) => { for (const signal of SIGNALS) process.on(signal, () => stop()); });
  log(`ready; state in ${state}; ${cpus} CPU${cpus === 1 ? '' : 's'}`);
  await stopped;
  await domains.close();
  server.close();
  await xenstore.close();
  log('ended');
}
