// Statements: `key = value` or `key += value`, each ended by a newline, a semicolon or the end of the text. A value is a
// string, a number or a list; within a list newlines mean nothing, and its last comma may be left in. As in libxlu
// (Xen 4.17, tools/libs/util/libxlu_cfg_y.y), but the first error ends the reading, and lists nest only so deep.

import { ConfigError, quote } from './config-error.ts';
import type { ConfigValue, Setting } from './config-file.ts';
import { Tokens, type Token, type TokenType } from './tokens.ts';

/** Characters of a file. */
const MAX_LENGTH = 2 ** 20;
/** No key of xl.cfg(5) has lists of more than two levels. */
const MAX_DEPTH = 32;

/**
 * Reads statements on top of what there is; takes time in proportion to both.
 * @param file for messages
 * @throws ConfigError
 */
export function readSettings(text: string, file: string, before: ReadonlyMap<string, Setting>): ReadonlyMap<string, Setting> {
  if (text.length > MAX_LENGTH) throw new ConfigError({ file, line: 1 }, `too long: ${text.length} characters; a configuration has at most ${MAX_LENGTH}`);
  return new Statements(text, file, before).read();
}

class Statements {
  readonly #file: string;
  readonly #tokens: Tokens;
  #token: Token;
  readonly #settings: Map<string, Setting>;
  /** lists made here, which += may lengthen in place */
  readonly #ours = new WeakSet<readonly ConfigValue[]>();

  constructor(text: string, file: string, before: ReadonlyMap<string, Setting>) {
    this.#file = file;
    this.#tokens = new Tokens(text, file);
    this.#token = this.#tokens.next();
    this.#settings = new Map(before);
  }

  read(): ReadonlyMap<string, Setting> {
    while (!this.#at('end')) {
      if (this.#at('key')) this.#statement();
      if (!this.#take('newline') && !this.#take(';') && !this.#at('end')) this.#unexpected('the statement to end with a newline or a semicolon, or a key to begin one');
    }
    return this.#settings;
  }

  #statement(): void {
    const key = this.#advance().text;
    const added = this.#take('+=');
    if (!added && !this.#take('=')) this.#unexpected(`= or += after ${quote(key)}`);
    const value = this.#value(0);
    const before = added ? this.#settings.get(key)?.value : undefined;
    this.#settings.set(key, { key, added, file: this.#file, line: value.line, value: before ? this.#sum(key, before, value) : value });
  }

  #value(depth: number): ConfigValue {
    const { type, line, text } = this.#token;
    if (type === 'string' || type === 'number') {
      this.#advance();
      return { kind: 'text', text, file: this.#file, line };
    }
    if (!this.#take('[')) this.#unexpected('a string, a number or a list');
    if (depth === MAX_DEPTH) throw new ConfigError({ file: this.#file, line }, `lists are nested more than ${MAX_DEPTH} deep`);
    const items = this.#items(depth + 1);
    this.#ours.add(items);
    return { kind: 'list', items, file: this.#file, line };
  }

  /** What follows [, with the ]. */
  #items(depth: number): ConfigValue[] {
    const items: ConfigValue[] = [];
    this.#newlines();
    while (!this.#take(']')) {
      items.push(this.#value(depth));
      this.#newlines();
      if (this.#take(',')) this.#newlines();
      else if (!this.#at(']')) this.#unexpected('a comma or ] in the list');
    }
    return items;
  }

  #sum(key: string, before: ConfigValue, value: ConfigValue): ConfigValue {
    if (before.kind === 'text' && value.kind === 'text') return { ...value, text: before.text + value.text };
    if (before.kind !== 'list' || value.kind !== 'list') {
      throw new ConfigError(value, `${quote(key)}: a string cannot be added to a list, nor a list to a string; both must be lists, or both strings`);
    }
    const items = this.#ours.has(before.items) ? before.items as ConfigValue[] : [...before.items];
    for (const item of value.items) items.push(item);
    this.#ours.add(items);
    return { ...value, items };
  }

  #newlines(): void { while (this.#take('newline')); }

  #at(type: TokenType): boolean { return this.#token.type === type; }

  #take(type: TokenType): boolean {
    if (!this.#at(type)) return false;
    this.#advance();
    return true;
  }

  /** The word, with the next one read. */
  #advance(): Token {
    const token = this.#token;
    this.#token = this.#tokens.next();
    return token;
  }

  #unexpected(wanted: string): never {
    const { type, text, line } = this.#token;
    const near = type === 'newline' ? 'the end of the line' : type === 'end' ? 'the end' : quote(text);
    throw new ConfigError({ file: this.#file, line }, `syntax error near ${near}: expected ${wanted}`);
  }
}
