// `xenith daemon`: the machine that runs the domains, until it is told to stop. This thread is Domain-0.

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { LogLevel } from '#base/host.ts';
import { XEN_VERSION } from '#hypervisor/version.ts';
import { Domains, type Log } from '#toolstack/lifecycle/domains.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { collectGarbage } from '../collect-garbage.ts';
import { nodeHost } from '../host.ts';
import { writeOutput } from '../output-file.ts';
import { CompilerThread } from '../region-compiler.ts';
import { storePace, XenstoreSocket } from '../xenstore-socket.ts';
import { autoStart } from './auto-start.ts';
import { startCpuThread } from './cpu-thread.ts';
import { stateTrouble } from './daemon-error.ts';
import type { DomainRecord } from './domain-record.ts';
import { DomainRecords } from './domain-records.ts';
import { KeptDomains } from './kept-domains.ts';
import { LogFile } from './log-file.ts';
import { LogRing } from './log-ring.ts';
import { DaemonLog } from './log.ts';
import { OrderlyEnd } from './orderly-end.ts';
import { ApiServer } from './server.ts';
import { notifyManager } from './service-manager.ts';
import { openState } from './state-database.ts';
import { autoPath, corePath, databasePath, socketPath, xenstorePath } from './state-dir.ts';

export interface DaemonOptions {
  readonly state: string;
  /** how many physical CPUs */
  readonly cpus: number;
  /** a file for the log, instead of standard error */
  readonly log: string | undefined;
  /** seconds that guests have to power off when the daemon ends */
  readonly shutdownTimeout: number;
}

/** Runs the daemon to its end. @throws DaemonError */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { cpus, state } = options;
  const file = options.log === undefined ? undefined : new LogFile(options.log);
  const out = new DaemonLog(file);
  const log: Log = (line, level = 'info') => out.write(level, line);
  if (file) reopenOnHangup(file, log);
  const ring = new LogRing(() => performance.now());
  const host = nodeHost((level, message) => hear(ring, log, level, message));
  const { records, takeOver } = openRecords(state, log);
  const compilers = new CompilerThread((reason) => log(`guest code is compiled more slowly from now on: ${reason}`, 'warning'));
  const store = new Store(storePace);
  const domains = new Domains(store, host, { cpus, start: startCpuThread(compilers), later: storePace.later, saveCore: coresIn(state) }, log);
  domains.onReleased = giveBack(domains);
  const kept = new KeptDomains(domains, records, log);
  const server = new ApiServer({ domains, kept, ring, log }, socketPath(state));
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  const end = new OrderlyEnd(domains, options.shutdownTimeout, stop, log);
  ring.write(`Xen version ${XEN_VERSION}`);
  const tell = (variables: Readonly<Record<string, string | number>>): void => notifyManager(variables, (reason) => log(reason, 'warning'));
  const ending = file ? ENDING : [...ENDING, 'SIGHUP']; // without a log file it is what a terminal says that goes away
  for (const signal of ending) process.on(signal, () => { if (end.signal()) tell({ STOPPING: 1, EXTEND_TIMEOUT_USEC: (options.shutdownTimeout + 10) * 1e6 }); });
  takeOver(kept);
  await kept.restore();
  await autoStart(autoPath(state), domains, kept, log);
  const close = domains.isEnding ? undefined : await listen(server, store, state);
  if (close) {
    log(`ready; state in ${state}; ${cpus} CPU${cpus === 1 ? '' : 's'}`);
    tell({ READY: 1 });
  }
  await stopped;
  await domains.close();
  await close?.();
  log(`ended; domains that are started again with the next daemon: ${namesOf(records.list().filter((r) => r.wanted))}`);
  records.close();
}

/** @returns what ends it @throws DaemonError */
async function listen(server: ApiServer, store: Store, state: string): Promise<() => Promise<void>> {
  await server.listen();
  const xenstore = await XenstoreSocket.listen(store, xenstorePath(state));
  return async () => {
    server.close();
    await xenstore.close();
  };
}

/** What the hypervisor says goes to the ring; what is bad goes to the administrator too. */
function hear(ring: LogRing, log: Log, level: LogLevel, message: string): void {
  ring.write(message);
  if (level === 'warning' || level === 'error') log(message, level);
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') mkdirSync(path); // says what Node's recursion takes for ENOENT: a read-only file system
    throw error;
  }
}

/** @throws DaemonError */
function openRecords(state: string, log: Log): { readonly records: DomainRecords; readonly takeOver: (kept: KeptDomains) => void } {
  const path = databasePath(state);
  try {
    makeDirectory(state);
  } catch (error) {
    throw stateTrouble(error, path);
  }
  const { database, aside } = openState(path);
  const rows = aside?.rows ?? [];
  if (aside) log(`${path} is damaged (${aside.reason}); it is kept as ${aside.path}, and a new one has the ${rows.length} domains that could be read: ${namesOf(rows)}`, 'error');
  return { records: new DomainRecords(database, path), takeOver: (kept) => kept.takeOver(rows) };
}

function namesOf(records: readonly DomainRecord[]): string { return records.map((r) => r.name).join(', ') || 'none'; }

const ENDING = ['SIGINT', 'SIGTERM'];
/** SIGHUP is for the log where that is a file, from the first line on: starting many domains takes its time. */
function reopenOnHangup(file: LogFile, log: Log): void {
  process.on('SIGHUP', () => {
    try {
      file.reopen();
    } catch (error) {
      log(`the log goes on in the old file: ${(error as Error).message}`, 'error');
    }
  });
}

/** Memory of domains that are gone is given back when there is so much of it, MiB, or after so long, ms. */
const MUCH = 512, SOON = 3000;
function giveBack(domains: Domains): (memory: number) => void {
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  const now = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    waiting = 0;
    await domains.collect();
    collectGarbage();
  };
  return (memory) => {
    waiting += memory;
    if (waiting >= MUCH) void now();
    else timer ??= setTimeout(() => void now(), SOON).unref();
  };
}

/** Where cores of crashed domains are kept. */
function coresIn(state: string): (name: string, pieces: Iterable<Uint8Array>) => Promise<string> {
  return async (name, pieces) => {
    const path = corePath(state, name);
    makeDirectory(dirname(path));
    await writeOutput('core file', path, pieces);
    return path;
  };
}
