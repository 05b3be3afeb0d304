// The one error that reading a configuration throws, and how hostile text is put into a message.

/** Where something stands: a file's name, or `command line`, and the line in it, from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** A configuration that cannot be used. The message begins with `file:line:`, as xl's do, and is safe to print. */
export class ConfigError extends Error implements Place {
  readonly file: string;
  readonly line: number;
  constructor({ file, line }: Place, reason: string) {
    super(`${printable(file)}:${line}: ${printable(reason)}`);
    this.name = 'ConfigError';
    this.file = file;
    this.line = line;
  }
}

const LONGEST_QUOTE = 60;

/** The text between quotation marks, cut when it is long. */
export function quote(text: string): string {
  return `“${text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text}”`;
}

/** Control characters as \xNN: a file must not drive the terminal that its errors are shown on. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\x${(c.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`);
}
