import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { DaemonError } from './daemon-error.ts';
import { DomainRecords } from './domain-records.ts';
import { openSqlite } from './sqlite.ts';
import { openState } from './state-database.ts';
import { STEPS } from './state-schema.ts';
import { requestOf } from './testing/requests.ts';

const top = mkdtempSync(join(tmpdir(), 'xenith-db-'));
let n = 0;
let directory: string, path: string;
beforeEach(() => {
  directory = join(top, String(n++));
  mkdirSync(directory);
  path = join(directory, 'domains.db');
});
after(() => rmSync(top, { recursive: true }));

/** A database with so many domains, closed. */
function filled(domains: number): void {
  const records = new DomainRecords(openState(path).database, path);
  for (let i = 0; i < domains; i++) records.put(requestOf(`d${i}`, { cmdline: 'x'.repeat(500) }));
  records.close();
}
const namesIn = (): string[] => {
  const { database } = openState(path);
  const names = new DomainRecords(database, path).list().map((r) => r.name);
  database.close();
  return names;
};
const refusal = (expected: RegExp): ((error: unknown) => boolean) => (error) => error instanceof DaemonError && expected.test(error.message);

test('a new database is its owner’s only, with the schema’s version, and safe against power cuts', () => {
  const { database, aside } = openState(path);
  assert.equal(aside, undefined);
  for (const file of readdirSync(directory)) assert.equal(statSync(join(directory, file)).mode & 0o777, 0o600, file);
  const pragma = (name: string): unknown => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  assert.deepEqual([pragma('user_version'), pragma('journal_mode'), pragma('synchronous')], [STEPS.length, 'wal', 2]);
  database.close();
});

test('what was written is there again, in its order', () => {
  filled(3);
  assert.deepEqual(namesIn(), ['d0', 'd1', 'd2']);
});

test('a database belongs to one daemon', () => {
  const { database } = openState(path);
  assert.throws(() => openState(path), refusal(/a daemon runs already/));
  database.close();
  openState(path).database.close();
});

describe('migration', () => {
  const added = [...STEPS, 'ALTER TABLE domain ADD COLUMN colour TEXT'];
  test('goes step by step, keeps the rows, and a copy that the old program reads', () => {
    filled(2);
    const { database } = openState(path, [...added, "UPDATE domain SET colour = 'red'"]);
    assert.deepEqual(database.prepare('SELECT name, colour FROM domain').all().map((row) => ({ ...row })), [{ name: 'd0', colour: 'red' }, { name: 'd1', colour: 'red' }]);
    database.close();
    path = `${path}.schema-${STEPS.length}`;
    assert.deepEqual(namesIn(), ['d0', 'd1']);
  });
  test('is all or nothing', () => {
    filled(2);
    assert.throws(() => openState(path, [...added, 'UPDATE nowhere SET x = 1']), /no such table/);
    assert.deepEqual(namesIn(), ['d0', 'd1']);
    openState(path, added).database.close();
  });
  test('does not go back: a newer schema is left alone', () => {
    filled(1);
    openState(path, added).database.close();
    const before = readFileSync(path);
    assert.throws(() => openState(path), refusal(/newer Xenith \(schema 2; this one knows 1\).*--state DIR/));
    assert.deepEqual(readFileSync(path), before);
  });
});

describe('what is no database of ours', () => {
  test('another program’s is left alone', () => {
    const other = openSqlite(path);
    other.exec('CREATE TABLE recipes (name TEXT)');
    other.close();
    assert.throws(() => openState(path), refusal(/another program/));
    assert.ok(existsSync(path));
  });
  test('a file of something else is kept aside, byte for byte', () => {
    writeFileSync(path, 'This is a letter to my aunt. '.repeat(100));
    const { database, aside } = openState(path);
    database.close();
    assert.ok(aside);
    assert.match(aside.path, /domains\.db\.damaged-\d{8}T\d{6}Z$/);
    assert.match(readFileSync(aside.path, 'utf8'), /^This is a letter/);
    assert.deepEqual(aside.rows, []);
    assert.deepEqual(namesIn(), []);
  });
  test('a second damaged file does not replace the first', () => {
    const kept = [1, 2, 3].map((i) => {
      writeFileSync(path, `no database ${i} `.repeat(100));
      const { database, aside } = openState(path);
      database.close();
      return aside?.path as string;
    });
    assert.deepEqual(kept.map((file) => readFileSync(file, 'utf8').slice(0, 13)), ['no database 1', 'no database 2', 'no database 3']);
  });
  test('of one that was cut short the readable domains are handed on', () => {
    filled(60);
    truncateSync(path, statSync(path).size - 4096);
    const { database, aside } = openState(path);
    database.close();
    assert.ok(aside && existsSync(aside.path));
    assert.ok(aside.rows.length > 0 && aside.rows.length < 60, `${aside.rows.length}`);
  });
  test('with any bytes changed it is opened, or refused with a reason, or kept aside', () => {
    filled(20);
    const whole = join(directory, 'whole');
    copyFileSync(path, whole);
    let seed = 7, setAside = 0;
    const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % below;
    for (let i = 0; i < 60; i++) {
      const bytes = readFileSync(whole);
      for (let k = 0; k < 1 + random(20); k++) bytes[i % 3 === 0 ? random(100) : random(bytes.length)] = random(256);
      for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true });
      writeFileSync(path, bytes);
      try {
        const { database, aside } = openState(path);
        new DomainRecords(database, path).list();
        database.close();
        if (aside) {
          setAside++;
          assert.equal(statSync(aside.path).size, bytes.length);
        }
      } catch (error) {
        assert.ok(error instanceof DaemonError, String(error));
      }
    }
    assert.ok(setAside > 10, `${setAside} of 60`);
  });
});

describe('places where no file can be', () => {
  test('a directory of that name', () => {
    mkdirSync(path);
    assert.throws(() => openState(path), refusal(/cannot be kept in/));
  });
  test('a file for a directory', () => {
    writeFileSync(join(directory, 'file'), '');
    assert.throws(() => openState(join(directory, 'file', 'domains.db')), refusal(/no directory: choose another one with --state DIR/));
  });
});
