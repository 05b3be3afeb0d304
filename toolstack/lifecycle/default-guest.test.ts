import assert from 'node:assert/strict';
import { test } from 'node:test';
import { introduceDomain } from '../xenstore/domain-tree.ts';
import { LocalClient } from '../xenstore/local-client.ts';
import { Store } from '../xenstore/store.ts';
import { encodeCommand, exitStatusOf, guestCommandLine, offerCommand, whenConsoleReady } from './default-guest.ts';

const plain = { command: false, pipe: false, quiet: false, append: '' };

function storeWithDomain(domid: number): { store: Store; guest: LocalClient } {
  const store = new Store();
  introduceDomain(store, { domid, name: 'x', uuid: 'u', memoryKiB: 1024, vcpus: 1, storePort: 1, storeMfn: 2, consolePort: 3, consoleMfn: 4 });
  return { store, guest: new LocalClient(store, domid) };
}

test('the command line says what was asked for', () => {
  assert.equal(guestCommandLine(plain), 'console=hvc0 tsc=reliable rodata=off');
  assert.equal(guestCommandLine({ ...plain, command: true, pipe: true, quiet: true, append: 'a b' }), 'console=hvc0 tsc=reliable rodata=off quiet loglevel=3 xenith.cmd=@ xenith.console=pipe a b');
  assert.equal(guestCommandLine({ ...plain, hostname: 'h', terminal: { rows: 30, columns: 100, type: 'xterm-256color' } }), 'console=hvc0 tsc=reliable rodata=off xenith.hostname=h xenith.rows=30 xenith.cols=100 TERM=xterm-256color');
});

test('a terminal type that is more than a word is left out', () => {
  for (const type of [undefined, '', 'a b', 'x=y']) assert.doesNotMatch(guestCommandLine({ ...plain, terminal: { rows: 1, columns: 1, type } }), /TERM/);
});

test('commands are encoded word by word, and refused when too long', () => {
  assert.equal(encodeCommand(['sh', '-c', 'echo a,b', '', 'é']), 'sh,-c,echo%20a%2Cb,,%C3%A9');
  assert.equal(encodeCommand(['\ud800']), '%EF%BF%BD');
  assert.equal(encodeCommand(['x'.repeat(4095)]).length, 4095);
  assert.throws(() => encodeCommand(['x'.repeat(4096)]), RangeError);
  assert.throws(() => encodeCommand(Array.from({ length: 129 }, () => 'x')), RangeError);
});

test('the guest finds its command and leaves its exit status', () => {
  const { store, guest } = storeWithDomain(7);
  offerCommand(store, 7, 'a,b');
  assert.equal(guest.read('/local/domain/7/data/xenith/command'), 'a,b');
  assert.equal(exitStatusOf(store, 7), undefined);
  for (const [text, status] of [['0', 0], ['255', 255], ['256', undefined], ['-1', undefined], ['1x', undefined], ['', undefined]] as const) {
    guest.write('/local/domain/7/data/xenith/exit-status', text);
    assert.equal(exitStatusOf(store, 7), status, text);
  }
});

test('the console is ready once, when the guest says so', () => {
  const { store, guest } = storeWithDomain(7);
  let times = 0;
  whenConsoleReady(store, 7, () => times++);
  guest.write('/local/domain/7/data/xenith/console', 'not yet');
  assert.equal(times, 0);
  guest.write('/local/domain/7/data/xenith/console', 'ready');
  guest.write('/local/domain/7/data/xenith/console', 'ready');
  assert.equal(times, 1);
});
