import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { DaemonError } from './daemon-error.ts';
import { DomainRecords } from './domain-records.ts';
import { openState } from './state-database.ts';
import { requestOf } from './testing/requests.ts';

const directory = mkdtempSync(join(tmpdir(), 'xenith-records-'));
const path = join(directory, 'domains.db');
let database: DatabaseSync, records: DomainRecords;
beforeEach(() => {
  if (database?.isOpen) database.close();
  rmSync(path, { force: true });
  database = openState(path).database;
  records = new DomainRecords(database, path);
});
after(() => {
  database.close();
  rmSync(directory, { recursive: true });
});
const isFull = (error: unknown): boolean => error instanceof DaemonError && /the disk is full: make room on it/.test(error.message);
/** Lets the database grow no more, with its last page full: SQLite says what it says when the disk has no room. */
function fillDisk(): void {
  const { page_count: pages } = database.prepare('PRAGMA page_count').get() as { page_count: number };
  database.exec(`PRAGMA max_page_count = ${pages}`);
}
const emptyDisk = (): void => { database.exec('PRAGMA max_page_count = 1000000'); };

test('a record is the whole request', () => {
  const request = requestOf('anna', { kernel: '/boot/it’s', ramdisk: '/r', cap: 30, paused: true, cmdline: 'a="b" \\ \u{1f600}' });
  records.put(request);
  assert.deepEqual(records.list(), [{ uuid: request.uuid, name: 'anna', request, wanted: true }]);
});

test('a change touches one domain, and only what it names', () => {
  const a = requestOf('a', { kernel: '/k' }), b = requestOf('b');
  records.put(a);
  records.put(b);
  records.change(a.uuid, { name: 'c', weight: 7 });
  records.change(a.uuid, { paused: true });
  records.change(a.uuid, { wanted: false });
  assert.deepEqual(records.list(), [
    { uuid: a.uuid, name: 'c', request: { ...a, name: 'c', weight: 7, paused: true }, wanted: false }, { uuid: b.uuid, name: 'b', request: b, wanted: true },
  ]);
  records.change(a.uuid, { wanted: true });
  records.change(crypto.randomUUID(), { name: 'nobody' });
  assert.deepEqual(records.list().map((r) => [r.name, r.wanted]), [['c', true], ['b', true]]);
});

test('no two have a name or a uuid in common', () => {
  const a = requestOf('a'), b = requestOf('b');
  records.put(a);
  records.put(b);
  assert.throws(() => records.put(requestOf('a')), /UNIQUE/);
  assert.throws(() => records.put({ ...requestOf('c'), uuid: a.uuid }), /UNIQUE/);
  assert.throws(() => records.change(b.uuid, { name: 'a' }), /UNIQUE/);
  assert.equal(records.list().length, 2);
  records.delete(a.uuid);
  records.change(b.uuid, { name: 'a' });
});

test('on a full disk nothing changes and the error says what to do; with room again all goes on', () => {
  const a = requestOf('a');
  records.put(a);
  fillDisk();
  const large = 'x'.repeat(20_000);
  assert.throws(() => records.put(requestOf('b', { cmdline: large })), isFull);
  assert.throws(() => records.change(a.uuid, { name: large }), isFull);
  assert.deepEqual(records.list().map((r) => r.name), ['a']);
  emptyDisk();
  records.put(requestOf('b', { cmdline: large }));
  assert.deepEqual(records.list().map((r) => r.name), ['a', 'b']);
});

test('a domain that is gone while nothing can be written is forgotten with the next change', () => {
  const a = requestOf('a');
  records.put(a);
  database.exec('PRAGMA query_only = 1');
  assert.ok(records.deleteInTime(a.uuid) instanceof DaemonError);
  assert.equal(records.list().length, 1);
  database.exec('PRAGMA query_only = 0');
  records.put(requestOf('a'));
  assert.deepEqual(records.list().map((r) => [r.name, r.uuid === a.uuid]), [['a', false]]);
});
