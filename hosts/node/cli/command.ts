// A command that a daemon answers: what its words and options are, and what it prints.

import type { ParseArgsConfig } from 'node:util';

export interface Invocation {
  readonly state: string;
  readonly words: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
}
export interface Command {
  /** words behind the name */
  readonly usage: string;
  readonly about: string;
  /** fewest and most words */
  readonly words: readonly [number, number];
  readonly options?: NonNullable<ParseArgsConfig['options']>;
  run(i: Invocation): Promise<string>;
}

export const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
export const JSON_OPTION = { json: { type: 'boolean' } } as const;
