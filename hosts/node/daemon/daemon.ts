// `xenith daemon`: the machine that runs the domains, until it is told to stop. This thread is Domain-0.

import { Domains } from '#toolstack/lifecycle/domains.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { collectGarbage } from '../collect-garbage.ts';
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
  domains.onReleased = giveBack(domains, compilers);
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

/** Memory of domains that are gone is given back when there is so much of it, MiB, or after so long, ms. */
const MUCH = 512, SOON = 3000;
function giveBack(domains: Domains, compilers: CompilerThread): (memory: number) => void {
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  const now = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    waiting = 0;
    await domains.collect();
    compilers.collect();
    collectGarbage();
  };
  return (memory) => {
    waiting += memory;
    if (waiting >= MUCH) void now();
    else timer ??= setTimeout(() => void now(), SOON);
  };
}
