import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { xencons_interface as layout } from '#abi/io/console.ts';
import { Capsule } from '#base/capsule.ts';
import { ConsoleBackend } from './console-backend.ts';

type Index = 'in_cons' | 'in_prod' | 'out_cons' | 'out_prod';
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** A back end and the guest's side of its ring. */
class Bench {
  readonly capsule = new Capsule(4, 1, 0x1_0000);
  readonly ring: number = this.capsule.frame(2);
  seen = '';
  notified = 0;
  readonly console = new ConsoleBackend(this.capsule, this.ring, (b) => { this.seen += String.fromCharCode(...b); }, () => { this.notified++; });

  get(i: Index): number { return this.capsule.u32[(this.ring + layout.offset[i]) >>> 2] as number; }
  set(i: Index, value: number): void { this.capsule.u32[(this.ring + layout.offset[i]) >>> 2] = value; }

  /** The guest writes what fits. Returns how much. */
  write(text: string): number {
    let n = 0;
    for (; n < text.length && (this.get('out_prod') - this.get('out_cons')) >>> 0 < 2048; n++) {
      const prod = this.get('out_prod');
      this.capsule.u8[this.ring + layout.offset.out + (prod % 2048)] = text.charCodeAt(n);
      this.set('out_prod', (prod + 1) >>> 0);
    }
    return n;
  }

  /** The guest reads all input there is. */
  read(): string {
    let text = '';
    for (let cons; (cons = this.get('in_cons')) !== this.get('in_prod'); this.set('in_cons', (cons + 1) >>> 0)) {
      text += String.fromCharCode(this.capsule.u8[this.ring + layout.offset.in + (cons % 1024)] as number);
    }
    return text;
  }
}

describe('output', () => {
  test('reaches the sink on an event, and the guest is told of the room', () => {
    const b = new Bench();
    b.write('hello');
    assert.equal(b.seen, '');
    b.console.onEvent();
    assert.deepEqual([b.seen, b.notified, b.get('out_cons')], ['hello', 1, 5]);
    b.console.onEvent();
    assert.equal(b.notified, 1);
  });

  test('across the ring\'s end and the indices\' wrap', () => {
    const b = new Bench();
    b.set('out_cons', 0xffff_fff0);
    b.set('out_prod', 0xffff_fff0);
    const text = 'abcdefghijklmnopqrstuvwxyz'.repeat(70);
    for (let i = 0; i < 3; i++) { assert.equal(b.write(text), text.length); b.console.onEvent(); }
    assert.equal(b.seen, text.repeat(3));
  });

  test('waits in the ring while paused', () => {
    const b = new Bench();
    b.console.pause();
    assert.equal(b.write('x'.repeat(3000)), 2048);
    b.console.onEvent();
    assert.equal(b.seen, '');
    b.console.resume();
    assert.equal(b.seen.length, 2048);
    assert.equal(b.notified, 1);
  });
});

describe('input', () => {
  test('goes into the ring at once', () => {
    const b = new Bench();
    b.console.feed(bytes('ls\n'));
    assert.equal(b.notified, 1);
    assert.equal(b.read(), 'ls\n');
  });

  test('more than fits waits until the guest has read, in order', () => {
    const b = new Bench();
    let taken = 0;
    b.console.onInputTaken = () => { taken++; };
    b.set('in_cons', 0xffff_ff00);
    b.set('in_prod', 0xffff_ff00);
    const text = Array.from({ length: 800 }, (_, i) => `${i} `).join('');
    for (let i = 0; i < text.length; i += 100) b.console.feed(bytes(text.slice(i, i + 100)));
    assert.equal(b.console.pendingInput, text.length - 1024);
    let got = b.read();
    assert.equal(got.length, 1024);
    while (b.console.pendingInput > 0) { b.console.onEvent(); got += b.read(); }
    assert.equal(got, text);
    assert.equal(taken, 1);
  });

  test('is a copy', () => {
    const b = new Bench();
    b.console.feed(bytes('x'.repeat(1024)));
    const later = bytes('abc');
    b.console.feed(later);
    later.fill(33);
    b.read();
    b.console.onEvent();
    assert.equal(b.read(), 'abc');
  });
});

test('senseless indices: nothing moves, nothing breaks, and sense is enough to go on', () => {
  const b = new Bench();
  b.set('out_prod', 5000);
  b.set('in_cons', 7);
  b.console.feed(bytes('in'));
  b.console.onEvent();
  assert.deepEqual([b.seen, b.notified, b.get('out_cons'), b.get('in_prod')], ['', 0, 0, 0]);
  b.set('in_cons', 0);
  b.set('out_prod', 0);
  b.write('out');
  b.console.onEvent();
  assert.deepEqual([b.seen, b.read()], ['out', 'in']);
});

test('random indices: never a byte outside the page', () => {
  let seed = 3;
  const random = (n: number): number => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor((seed / 2 ** 32) * n); };
  const b = new Bench();
  for (let i = 0; i < 5000; i++) {
    b.set((['in_cons', 'in_prod', 'out_cons', 'out_prod'] as const)[random(4)] ?? 'in_cons', random(2) ? random(2 ** 32) : random(4096));
    if (random(2)) b.console.feed(new Uint8Array(random(300)).fill(0xaa));
    else b.console.onEvent();
  }
  assert.ok(b.capsule.u8.subarray(b.ring - 4096, b.ring).every((x) => x === 0) && b.capsule.u8.subarray(b.ring + layout.size, b.ring + 8192).every((x) => x === 0));
});
