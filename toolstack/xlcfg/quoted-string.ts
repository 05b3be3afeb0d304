// Strings in single or double quotation marks. The escapes are those that work in xl (Xen 4.17, libxlu_cfg.c).
// Numeric ones do not: \x is always an error there, and \012 vanishes from the string. Here both are errors.

import { ConfigError, quote, type Place } from './config-error.ts';

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'], ["'", "'"], ['\\', '\\'], ['a', '\x07'], ['b', '\b'], ['f', '\f'], ['n', '\n'], ['r', '\r'], ['t', '\t'], ['v', '\v'],
]);

/**
 * Reads a string.
 * @param at of the opening quotation mark
 * @returns what it stands for, and its length as written
 * @throws ConfigError when it does not end on its line, or has an escape that is none
 */
export function readString(source: string, at: number, place: Place): { text: string; length: number } {
  const mark = source[at];
  let text = '';
  let plain = at + 1; // begin of what is copied as it is
  for (let i = at + 1; ; i++) {
    const c = source[i];
    if (c === undefined || c === '\n') throw new ConfigError(place, `the string ${quote(source.slice(at, i))} has no closing ${mark} on its line; a newline in it is written \\n`);
    if (c === '\0') throw new ConfigError(place, `a NUL character in the string ${quote(source.slice(at, i))}`);
    if (c === mark) return { text: text + source.slice(plain, i), length: i + 1 - at };
    if (c === '\\') {
      text += source.slice(plain, i) + escaped(source[i + 1] ?? '', place);
      i++;
      plain = i + 1;
    }
  }
}

function escaped(c: string, place: Place): string {
  const character = ESCAPES.get(c);
  if (character !== undefined) return character;
  if (/[0-7x]/.test(c)) throw new ConfigError(place, `\\${c} in a string: numeric escapes do not work in xl; write the character itself`);
  throw new ConfigError(place, `\\${c} in a string: no such escape; a backslash is written \\\\`);
}
