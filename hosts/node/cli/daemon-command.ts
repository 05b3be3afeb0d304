// `xenith daemon`: runs the machine in the foreground, as systemd wants it.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runDaemon } from '../daemon/daemon.ts';
import { stateDir } from '../daemon/state-dir.ts';
import { firstSentence } from './args.ts';
import { DAEMON_HELP } from './help.ts';
import { UsageError } from './usage-error.ts';

const OPTIONS = { state: { type: 'string' }, cpus: { type: 'string' }, log: { type: 'string' }, 'shutdown-timeout': { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
/** Seconds that guests have to power off: less than the 90 after which systemd kills. */
const SHUTDOWN_TIMEOUT = '60';

/** @returns the exit status @throws UsageError, DaemonError */
export async function daemonCommand(args: readonly string[]): Promise<number> {
  const { state, cpus, log, help, 'shutdown-timeout': timeout = SHUTDOWN_TIMEOUT } = parse(args);
  if (help === true) process.stdout.write(DAEMON_HELP);
  else await runDaemon({ state: stateDir(state), cpus: cpus === undefined ? availableParallelism() : parseCpus(cpus), log, shutdownTimeout: parseSeconds(timeout) });
  return 0;
}
function parse(args: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'] {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`daemon: ${firstSentence(error.message)}`);
    throw error;
  }
}
/** A thread each: more than any machine has processors is a slip. */
const MOST_CPUS = 1024;
function parseCpus(text: string): number {
  const n = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (n < 1 || n > MOST_CPUS) throw new UsageError(`daemon: --cpus ${text}: not a number from 1 to ${MOST_CPUS}`);
  return n;
}
function parseSeconds(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new UsageError(`daemon: --shutdown-timeout ${text}: not a number of seconds`);
  return Number(text);
}
