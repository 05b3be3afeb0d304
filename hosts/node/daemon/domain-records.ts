// What the daemon has to remember of its domains: a record for each that is to run, in the state database. A change that
// returned is on the disk.

import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { KeptChange } from '#toolstack/lifecycle/domain-keeper.ts';
import { readRecords, type DomainRecord } from './domain-record.ts';
import type { CreateRequest } from './protocol.ts';
import { stateError } from './state-database.ts';

/** A request that has its uuid. */
export type KeptRequest = CreateRequest & { readonly uuid: string };

type Statement = readonly [sql: string, ...values: SQLInputValue[]];
const deletion = (uuid: string): Statement => ['DELETE FROM domain WHERE uuid = ?', uuid];

export class DomainRecords {
  private readonly database: DatabaseSync;
  private readonly path: string;
  /** domains that are gone, and the disk could not be told: the next change brings it up to date */
  private readonly owed = new Set<string>();

  constructor(database: DatabaseSync, path: string) {
    this.database = database;
    this.path = path;
  }

  /** In the order in which they were made. */
  list(): DomainRecord[] { return readRecords(this.database, []); }

  /** Keeps a new domain. @throws DaemonError */
  put(request: KeptRequest): void {
    this.write([['INSERT INTO domain (uuid, request) VALUES (?, ?)', request.uuid, JSON.stringify(request)]]);
  }
  /** Changes what is known of a domain. One without a record has none afterwards either. @throws DaemonError */
  change(uuid: string, { wanted, ...settings }: KeptChange): void {
    this.write([['UPDATE domain SET request = json_patch(request, ?), wanted = coalesce(?, wanted) WHERE uuid = ?', JSON.stringify(settings), wanted === undefined ? null : Number(wanted), uuid]]);
  }
  /** @throws DaemonError */
  delete(uuid: string): void { this.write([deletion(uuid)]); }
  /** Deletes a record now, or together with the next change. @returns what kept it from being done now, if anything */
  deleteInTime(uuid: string): unknown {
    try {
      this.delete(uuid);
      return undefined;
    } catch (error) {
      this.owed.add(uuid);
      return error;
    }
  }
  close(): void { this.database.close(); }

  /** All of it, or nothing. */
  private write(statements: readonly Statement[]): void {
    const { database } = this;
    try {
      database.exec('BEGIN IMMEDIATE');
      for (const [sql, ...values] of [...[...this.owed].map(deletion), ...statements]) database.prepare(sql).run(...values);
      database.exec('COMMIT');
      this.owed.clear();
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw stateError(error, this.path);
    }
  }
}
