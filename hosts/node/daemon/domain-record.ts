// A row of the state database's table of domains.

import type { DatabaseSync } from 'node:sqlite';

export interface DomainRecord {
  readonly uuid: string;
  readonly name: string;
  /** what was written: to be checked (checkedRequest), for a file is input */
  readonly request: unknown;
  /** false: it was asked to power off */
  readonly wanted: boolean;
}

/** Reads the rows, in the order in which they were made, behind those in `into`. @throws Error of SQLite's, with what came before in `into` */
export function readRecords(database: DatabaseSync, into: DomainRecord[]): DomainRecord[] {
  for (const row of database.prepare('SELECT uuid, name, request, wanted FROM domain ORDER BY rowid').iterate()) {
    const { uuid, name, request, wanted } = row;
    into.push({ uuid: String(uuid), name: String(name), request: parsed(String(request)), wanted: wanted !== 0 });
  }
  return into;
}
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
