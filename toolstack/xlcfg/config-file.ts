// A parsed configuration file: keys with the values that were given last. What the values mean is not known here
// (domain-config.ts).

import type { Place } from './config-error.ts';
import { readSettings } from './grammar.ts';

/** A string or a number: the language does not tell them apart, xl reads one as the other. */
export interface ConfigText extends Place {
  readonly kind: 'text';
  readonly text: string;
}

export interface ConfigList extends Place {
  readonly kind: 'list';
  readonly items: readonly ConfigValue[];
}

export type ConfigValue = ConfigText | ConfigList;

/** Its place is that of the value given last; the entries of a list may be from elsewhere. */
export interface Setting extends Place {
  readonly key: string;
  readonly value: ConfigValue;
  /** the last statement was +=, which is not for numbers */
  readonly added: boolean;
}

export interface ConfigFile {
  readonly name: string;
  readonly settings: ReadonlyMap<string, Setting>;
}

/** What errors call the words behind the file; a line is a word. */
export const COMMAND_LINE = 'command line';

/**
 * Parses a configuration file: xl.cfg(5), grammar of Xen 4.17 (tools/libs/util/libxlu_cfg_y.y).
 * @param name of the file, for messages
 * @throws ConfigError
 */
export function parseConfig(text: string, name: string): ConfigFile {
  return { name, settings: readSettings(text, name, new Map()) };
}

/**
 * The configuration with what `xl create FILE` takes behind the file: statements, each a word, as if they stood at the
 * file's end. A word may hold several, separated by semicolons.
 * @returns another configuration; the one given does not change
 * @throws ConfigError
 */
export function withWords(config: ConfigFile, words: readonly string[]): ConfigFile {
  return { name: config.name, settings: readSettings(words.join('\n'), COMMAND_LINE, config.settings) };
}
