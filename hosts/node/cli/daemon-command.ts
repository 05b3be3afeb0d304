// `xenith daemon`: runs the machine in the foreground, its log on standard error, as systemd wants it.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runDaemon } from '../daemon/daemon.ts';
import { stateDir } from '../daemon/state-dir.ts';
import { firstSentence } from './args.ts';
import { DAEMON_HELP } from './help.ts';
import { UsageError } from './usage-error.ts';

/** @returns the exit status @throws UsageError, AlreadyRunning */
export async function daemonCommand(args: readonly string[]): Promise<number> {
  const { state, cpus, help } = parse(args);
  if (help === true) process.stdout.write(DAEMON_HELP);
  else await runDaemon(stateDir(state), cpus === undefined ? availableParallelism() : parseCpus(cpus), (line) => process.stderr.write(`xenith: ${line}\n`));
  return 0;
}
function parse(args: readonly string[]): { readonly state?: string; readonly cpus?: string; readonly help?: boolean } {
  try {
    return parseArgs({ args: [...args], options: { state: { type: 'string' }, cpus: { type: 'string' }, help: { type: 'boolean', short: 'h' } } }).values;
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
