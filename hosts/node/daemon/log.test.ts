import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DaemonError } from './daemon-error.ts';
import { LogFile } from './log-file.ts';
import { LogRing } from './log-ring.ts';
import { DaemonLog } from './log.ts';

const directory = mkdtempSync(join(tmpdir(), 'xenith-log-'));
after(() => rmSync(directory, { recursive: true }));
const path = (name: string): string => join(directory, name);
const content = (name: string): string => readFileSync(path(name), 'utf8');

test('a file has the time, the level where it is bad, and each line by itself; other users do not read it', () => {
  const log = new DaemonLog(new LogFile(path('a')));
  log.write('info', 'ready');
  log.write('error', 'one\ntwo');
  log.write('warning', 'three');
  assert.match(content('a'), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z xenith: ready\n\S+ xenith: error: one\n\S+ xenith: error: two\n\S+ xenith: warning: three\n$/);
  assert.equal(statSync(path('a')).mode & 0o007, 0);
});

test('it is written on to, and opened anew when it was moved away', () => {
  const file = new LogFile(path('a'));
  file.write('more\n');
  renameSync(path('a'), path('a.1'));
  file.write('still the old one\n');
  file.reopen();
  file.write('new\n');
  assert.match(content('a.1'), /three\nmore\nstill the old one\n$/);
  assert.equal(content('a'), 'new\n');
});

test('where it cannot be opened the reason is given, and an old one is kept', () => {
  assert.throws(() => new LogFile(path('none/b')), (e) => e instanceof DaemonError && /^--log .*none\/b: no such file$/.test(e.message));
  const file = new LogFile(path('c'));
  renameSync(path('c'), path('c.1'));
  symlinkSync(directory, path('c'));
  assert.throws(() => file.reopen(), /is a directory/);
  file.write('goes on');
  assert.equal(content('c.1'), 'goes on');
});

test('a full disk loses lines, ends nothing, and is told of when there is room', { skip: existsSync('/dev/full') ? false : 'no /dev/full' }, () => {
  symlinkSync('/dev/full', path('d'));
  const file = new LogFile(path('d'));
  file.write('lost\n');
  file.write('lost\nlost\n');
  unlinkSync(path('d'));
  file.reopen();
  file.write('kept\n');
  assert.equal(content('d'), '3 lines could not be written here before this one\nkept\n');
});

test('the ring has the last of what was written, whole lines with their time, until it is cleared', () => {
  let now = 12.3456;
  const ring = new LogRing(() => now);
  ring.write('one\ntwo');
  now = 123_456_789;
  ring.write('three');
  assert.equal(ring.read(), '(XEN) [    0.012346] one\n(XEN) [    0.012346] two\n(XEN) [123456.789000] three\n');
  for (let i = 0; i < 2000; i++) ring.write(`line ${i}`);
  assert.match(ring.read(), /^\(XEN\) .*line \d{4}\n.*line 1999\n$/s);
  assert.ok(ring.read().length <= 16384 && ring.read().length > 16300);
  ring.write('x'.repeat(100_000));
  assert.ok(ring.read().length <= 16384);
  ring.clear();
  assert.equal(ring.read(), '');
  ring.write('again');
  assert.match(ring.read(), /^\(XEN\) \[.*\] again\n$/);
});
