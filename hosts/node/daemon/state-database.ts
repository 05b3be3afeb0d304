// The database in the state directory: one file, which belongs to one daemon at a time (SQLite's lock holds that). What was
// committed survives a killed process and a power cut: a write-ahead log, synchronous=FULL.
//
// A file that is no database, or a damaged one, is moved aside and never deleted; one of a newer schema is left alone. Before
// a migration a copy of the old file is made.

import { closeSync, existsSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { alreadyRuns, DaemonError, stateTrouble } from './daemon-error.ts';
import { readRecords, type DomainRecord } from './domain-record.ts';
import { openSqlite, SQLITE, sqliteCode } from './sqlite.ts';
import { APPLICATION_ID, STEPS } from './state-schema.ts';

export interface OpenedState {
  readonly database: DatabaseSync;
  /** what became of a damaged file; undefined when all was well */
  readonly aside: { readonly path: string; readonly reason: string; readonly rows: readonly DomainRecord[] } | undefined;
}

/** for its owner only; SQLite's log gets the same */
const MODE = 0o600;

/** A file that cannot be used as it is, and the rows that can be read still. */
class Damaged extends Error {
  rows: readonly DomainRecord[] = [];
}

/**
 * Opens the database, made or brought up to date as need be.
 * @param steps the schema's: tests have their own
 * @throws DaemonError
 */
export function openState(path: string, steps: readonly string[] = STEPS): OpenedState {
  try {
    return { database: open(path, steps), aside: undefined };
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    const kept = moveAside(path);
    return { database: open(path, steps), aside: { path: kept, reason: error.message, rows: error.rows } };
  }
}

function open(path: string, steps: readonly string[]): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    closeSync(openSync(path, 'a', MODE)); // SQLite would let others read it
    database = openSqlite(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    database.exec('BEGIN IMMEDIATE; COMMIT'); // the lock is ours from here on, and the file can be written
    check(database, path);
    migrate(database, path, steps);
    return database;
  } catch (error) {
    const known = explained(error, path);
    if (known instanceof Damaged && database) known.rows = salvaged(database);
    close(database);
    throw known;
  }
}
function salvaged(database: DatabaseSync): readonly DomainRecord[] {
  const rows: DomainRecord[] = [];
  try {
    database.enableDefensive?.(false); // Node 24 has no such thing to turn off
    database.exec('PRAGMA writable_schema = ON'); // reads a file also where its end is missing
    readRecords(database, rows);
  } catch (error) {
    if (sqliteCode(error) === undefined) throw error;
  }
  return rows;
}
/** A damaged database may fail to close as well. */
function close(database: DatabaseSync | undefined): void {
  try {
    database?.close();
  } catch (error) {
    if (sqliteCode(error) === undefined) throw error;
  }
}

/** @throws Damaged, and DaemonError for what is another program's */
function check(database: DatabaseSync, path: string): void {
  const id = pragma(database, 'application_id');
  const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number };
  if (id !== APPLICATION_ID && (id !== 0 || tables > 0)) throw new DaemonError(`${path} is a database of another program: move it away, or choose another directory with --state DIR`);
  const { quick_check: found } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
  if (found !== 'ok') throw new Damaged(found);
}

/** @throws DaemonError when the file's schema is newer than ours */
function migrate(database: DatabaseSync, path: string, steps: readonly string[]): void {
  const version = pragma(database, 'user_version');
  if (version > steps.length) throw new DaemonError(`${path} was written by a newer Xenith (schema ${version}; this one knows ${steps.length}): run that one, or choose another directory with --state DIR`);
  if (version === steps.length) return;
  if (version > 0) copyBefore(database, path, version);
  try {
    database.exec(`BEGIN IMMEDIATE; ${steps.slice(version).join(';\n')}; PRAGMA user_version = ${steps.length}; PRAGMA application_id = ${APPLICATION_ID}; COMMIT`);
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
/** A copy of what an older Xenith can read. One that is there already is of an attempt that failed, and as good. */
function copyBefore(database: DatabaseSync, path: string, version: number): void {
  const copy = `${path}.schema-${version}`;
  if (!existsSync(copy)) database.prepare('VACUUM INTO ?').run(copy);
}
function pragma(database: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return (database.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[name] as number;
}

/** Moves the file and its log to a name that is free, and returns it. */
function moveAside(path: string): string {
  const stamp = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  let aside = `${path}.damaged-${stamp}`;
  for (let n = 2; existsSync(aside); n++) aside = `${path}.damaged-${stamp}-${n}`;
  for (const suffix of ['', '-wal', '-shm']) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  return aside;
}

function explained(error: unknown, path: string): unknown {
  const code = sqliteCode(error);
  if (code === SQLITE.NOTADB || code === SQLITE.CORRUPT) return new Damaged((error as Error).message);
  return stateError(error, path);
}

/** What SQLite said about the file, in words for the administrator; other errors as they are. */
export function stateError(error: unknown, path: string): unknown {
  const state = dirname(path), { message } = error as Error;
  switch (sqliteCode(error)) {
    case SQLITE.BUSY: return alreadyRuns(state);
    case SQLITE.FULL: return new DaemonError(`the state cannot be kept in ${state}: the disk is full: make room on it, and try again`);
    case SQLITE.PERM: case SQLITE.READONLY: case SQLITE.CANTOPEN:
      return new DaemonError(`the state cannot be kept in ${path} (${message}): the daemon has to be able to write that file and its directory; or choose another one with --state DIR`);
    case SQLITE.IOERR: case SQLITE.CORRUPT: case SQLITE.NOTADB:
      return new DaemonError(`the state cannot be kept in ${path} (${message}): look after the disk, and start the daemon again`);
    default: return stateTrouble(error, path);
  }
}
