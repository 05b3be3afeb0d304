// `xenith daemon`: runs the machine in the foreground, as systemd wants it.

import { availableParallelism } from 'node:os';
import { runDaemon } from '../daemon/daemon.ts';
import { stateDir } from '../daemon/state-dir.ts';
import { DAEMON_HELP } from './help.ts';
import { parsedArgs, wholeNumber } from './option-words.ts';

const OPTIONS = { state: { type: 'string' }, cpus: { type: 'string' }, log: { type: 'string' }, 'shutdown-timeout': { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
/** Seconds that guests have to power off: less than the 90 after which systemd kills. */
const SHUTDOWN_TIMEOUT = '60';
const MOST_SECONDS = 999_999;
/** A thread each: more than any machine has processors is a slip. */
const MOST_CPUS = 1024;

/** @returns the exit status @throws UsageError, DaemonError */
export async function daemonCommand(args: readonly string[]): Promise<number> {
  const { state, cpus, log, help, 'shutdown-timeout': timeout = SHUTDOWN_TIMEOUT } = parsedArgs({ args: [...args], options: OPTIONS }, 'daemon').values;
  if (help === true) process.stdout.write(DAEMON_HELP);
  else await runDaemon({ state: stateDir(state), cpus: cpus === undefined ? availableParallelism() : wholeNumber('daemon: --cpus', cpus, 1, MOST_CPUS), log, shutdownTimeout: wholeNumber('daemon: --shutdown-timeout', timeout, 0, MOST_SECONDS, 'a number of seconds') });
  return 0;
}
