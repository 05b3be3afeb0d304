// Takes values out of a configuration by key, each in the form that its key needs. xl warns of a value of the wrong
// kind and goes on as if the key were missing; here it is an error.

import { ConfigError, quote } from './config-error.ts';
import type { ConfigFile, ConfigValue, Setting } from './config-file.ts';
import { parseInteger } from './integer.ts';

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Of a list. */
export interface Entry {
  readonly text: string;
  /** with the entry's place */
  readonly setting: Setting;
}

export class SettingsReader {
  readonly #config: ConfigFile;

  constructor(config: ConfigFile) {
    this.#config = config;
  }

  setting(key: string): Setting | undefined { return this.#config.settings.get(key); }

  /** @throws ConfigError when it is a list */
  string(key: string): string | undefined {
    const setting = this.setting(key);
    if (setting === undefined) return undefined;
    if (setting.value.kind === 'list') throw problem(setting, `is a list, but takes one value: write ${key} = "…"`);
    return setting.value.text;
  }

  /** @throws ConfigError when it is no number, or none in the range */
  integer(key: string, { min, max }: Range): number | undefined {
    const setting = this.setting(key);
    const text = this.string(key);
    if (setting === undefined || text === undefined) return undefined;
    if (setting.added) throw problem(setting, '+= does not add numbers: give the sum with =');
    const value = parseInteger(text);
    if (value === undefined) throw problem(setting, `${quote(text)} is not a number`);
    if (value < min || value > max) throw problem(setting, `${value} is not in the range: give a number from ${min} to ${max}`);
    return value;
  }

  /** @throws ConfigError when it is none of the words */
  word<T extends string>(key: string, words: readonly T[]): T | undefined {
    const setting = this.setting(key);
    const text = this.string(key);
    if (setting === undefined || text === undefined) return undefined;
    const word = words.find((w) => w === text);
    if (word === undefined) throw problem(setting, `${quote(text)} is not one of ${words.join(', ')}`);
    return word;
  }

  /** @throws ConfigError when it is no list, or not one of strings */
  entries(key: string): readonly Entry[] | undefined {
    const setting = this.setting(key);
    if (setting === undefined) return undefined;
    if (setting.value.kind === 'text') throw problem(setting, `takes a list: write ${key} = [ "…" ]`);
    return setting.value.items.map((item, i) => entry({ ...setting, file: item.file, line: item.line }, item, i));
  }
}

function entry(setting: Setting, item: ConfigValue, index: number): Entry {
  if (item.kind === 'list') throw problem(setting, `entry ${index + 1} is a list, but must be a string`);
  return { text: item.text, setting };
}

/** The error about a setting. */
export function problem(setting: Setting, reason: string): ConfigError {
  return new ConfigError(setting, `${setting.key}: ${reason}`);
}

/** What a parser of specifications gives up with; whoever knows the setting makes a ConfigError of it. */
export class SpecError extends Error {}

/** @throws ConfigError where `parse` throws a SpecError */
export function forSetting<T>(setting: Setting, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SpecError) throw problem(setting, error.message);
    throw error;
  }
}
