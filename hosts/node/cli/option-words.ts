// What is common to the words of all commands: how options are taken apart, and numbers read. What cannot be used is a UsageError.

import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UsageError } from './usage-error.ts';

/**
 * Node's parseArgs.
 * @param command whose options they are, for the complaint; none for `run`
 * @throws UsageError
 */
export function parsedArgs<T extends ParseArgsConfig>(config: T, command?: string): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`${command === undefined ? '' : `${command}: `}${firstSentence(error.message)}`);
    throw error;
  }
}
/** What Node says about a bad option, less the advice on positional arguments, which are not for this command. */
function firstSentence(message: string): string {
  const [first = message] = message.split(/\. |\n/);
  return first.charAt(0).toLowerCase() + first.slice(1);
}

/** A whole number. @param option that says it, for the complaint @param meaning what it is not, if it is none @throws UsageError */
export function wholeNumber(option: string, text: string, least: number, most: number, meaning = `a number from ${least} to ${most}`): number {
  const n = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(n >= least && n <= most)) throw new UsageError(`${option} ${text}: not ${meaning}`);
  return n;
}

/** Seconds, or parts of one. @throws UsageError */
export function secondsIn(option: string, text: string): number {
  const n = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (!(n > 0)) throw new UsageError(`${option} ${text}: not a number of seconds above 0`);
  return n;
}
