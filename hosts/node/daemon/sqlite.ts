// Node's SQLite, without the warning that Node 24 prints about it: the module is there to stay, and an administrator who
// reads the log has no use for the line.

import type { DatabaseSync } from 'node:sqlite';
import { quietly } from '../quietly.ts';

/** @throws what `sqliteCode` knows */
export function openSqlite(path: string): DatabaseSync { return new (quietly(() => process.getBuiltinModule('node:sqlite')).DatabaseSync)(path); }

/** Primary result codes (sqlite.org/rescode.html). */
export const SQLITE = { PERM: 3, BUSY: 5, READONLY: 8, IOERR: 10, CORRUPT: 11, FULL: 13, CANTOPEN: 14, NOTADB: 26 } as const;

/** The primary result code of an error of SQLite's; undefined for other errors. */
export function sqliteCode(error: unknown): number | undefined {
  const { errcode } = error as { readonly errcode?: unknown };
  return typeof errcode === 'number' ? errcode & 0xff : undefined;
}
