// The words of a configuration file, by libxlu's rules (Xen 4.17, tools/libs/util/libxlu_cfg_l.l): keys are lower case,
// whatever begins with a digit is one word (what number it is, its reader says), strings end on their line, and a
// comment lasts to the end of its line. Linear in the text, without regular expressions that could backtrack.

import { ConfigError, quote } from './config-error.ts';
import { readString } from './quoted-string.ts';

export type TokenType = 'key' | 'number' | 'string' | '=' | '+=' | '[' | ']' | ',' | ';' | 'newline' | 'end';

export interface Token {
  readonly type: TokenType;
  /** as written; of a string, what it stands for */
  readonly text: string;
  /** from 1 */
  readonly line: number;
}

/** with dots, as xl.conf has them, which the same language is for */
const KEY = /[a-z][_.0-9a-z]*/y;
const NUMBER = /[0-9][0-9a-fx]*/y;
const PUNCTUATION: Readonly<Record<string, TokenType>> = { '=': '=', '[': '[', ']': ']', ',': ',', ';': ';' };

/** Reads words one by one. */
export class Tokens {
  readonly #text: string;
  readonly #file: string;
  #at = 0;
  #line = 1;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  /** @throws ConfigError for what is no word */
  next(): Token {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\t') this.#at++;
    const c = this.#text[this.#at];
    if (c === undefined) return this.#token('end', '', 0);
    if (c === '\n' || c === '#') return this.#endOfLine();
    if (c === '"' || c === "'") {
      const { text, length } = readString(this.#text, this.#at, { file: this.#file, line: this.#line });
      return this.#token('string', text, length);
    }
    if (this.#text.startsWith('+=', this.#at)) return this.#token('+=', '+=', 2);
    const type = PUNCTUATION[c];
    if (type !== undefined) return this.#token(type, c, 1);
    return this.#match('key', KEY) ?? this.#match('number', NUMBER) ?? this.#fail();
  }

  #token(type: TokenType, text: string, length: number): Token {
    this.#at += length;
    return { type, text, line: this.#line };
  }

  #match(type: TokenType, pattern: RegExp): Token | undefined {
    pattern.lastIndex = this.#at;
    const text = pattern.exec(this.#text)?.[0];
    return text === undefined ? undefined : this.#token(type, text, text.length);
  }

  /** The newline, with the comment before it. A comment may also end with the text. */
  #endOfLine(): Token {
    const newline = this.#text.indexOf('\n', this.#at);
    if (newline < 0) return this.#token('end', '', this.#text.length - this.#at);
    const token = this.#token('newline', '', newline + 1 - this.#at);
    this.#line++;
    return token;
  }

  #fail(): never {
    const word = /^[^\s]*/u.exec(this.#text.slice(this.#at, this.#at + 100))?.[0] ?? '';
    throw new ConfigError({ file: this.#file, line: this.#line }, `lexical error near ${quote(word || 'white space')}: ${advice(word)}`);
  }
}

/** What people write here that is none of the language. */
function advice(word: string): string {
  if (word === '') return 'only spaces and tabs may separate words; a file with DOS line ends needs them changed (dos2unix)';
  if (/^(True|False|None)\b/.test(word)) return 'this is no Python: write 1 or 0, or leave the key out';
  if (/^[A-Z]/.test(word)) return 'keys and numbers are written in lower case, and strings in quotation marks';
  if (/^[-+.][0-9]/.test(word)) return 'numbers have no sign and no point; a negative one is written as a string';
  if (/^[-+.():]/.test(word)) return 'a configuration is key = value lines, not Python, and strings need quotation marks';
  return 'expected a key, a number, a string in quotation marks, or one of = += [ ] , ;';
}
