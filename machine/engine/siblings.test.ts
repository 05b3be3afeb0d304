import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Capsule } from '#base/capsule.ts';
import { scratchSize, siblingsAt } from './interpreter.ts';
import { type Follower, POSTED, setMachines, Siblings } from './siblings.ts';

class Machine implements Follower {
  done: string[] = [];
  readonly siblings: Siblings;
  constructor(capsule: Capsule, me: number) { this.siblings = new Siblings(capsule, siblingsAt(capsule.totalFrames), me, this); }
  translations(kind: number, lo: number, hi: number, mfn: number): void { this.done.push(kind === POSTED.page ? `page ${lo.toString(16)} ${hi.toString(16)} ${mfn}` : `kind ${kind} ${mfn}`); }
  code(mfn: number): void { this.done.push(`code ${mfn}`); }
  allCode(): void { this.done.push('all code'); }
  /** What it does when it goes inside. */
  entered(): string[] {
    this.done = [];
    this.siblings.enter();
    this.siblings.leave();
    return this.done;
  }
}
function two(): { a: Machine; b: Machine; capsule: Capsule } {
  const capsule = new Capsule(8, 0, scratchSize(8, 2));
  setMachines(capsule, 2);
  return { a: new Machine(capsule, 0), b: new Machine(capsule, 1), capsule };
}

test('what one has dropped the other drops when it goes inside, once and in order', () => {
  const { a, b } = two();
  a.siblings.post(POSTED.page, 0xffff_f000, 0xffff_ffff, 7);
  a.siblings.post(POSTED.base, 0, 0, 3);
  a.siblings.postCode(5);
  assert.deepEqual(b.entered(), ['code 5', 'page fffff000 ffffffff 7', `kind ${POSTED.base} 3`]);
  assert.deepEqual(b.entered(), []);
});

test('who was outside for long drops all', () => {
  const { a, b } = two();
  for (let i = 0; i < 300; i++) a.siblings.post(POSTED.page, 0x1000, 0, i);
  assert.deepEqual(b.entered(), [`kind ${POSTED.all} -1`]);
  for (let i = 0; i < 5000; i++) a.siblings.postCode(i);
  assert.deepEqual(b.entered(), ['all code']);
});

test('one that is inside is asked to look up, and told whether the hypervisor wants it', () => {
  const { a, b } = two();
  b.siblings.enter();
  assert.equal(b.siblings.isAsked, false);
  a.siblings.post(POSTED.all, 0, 0, -1);
  assert.deepEqual([b.siblings.isAsked, b.siblings.answer(), b.done], [true, false, [`kind ${POSTED.all} -1`]]);
  a.siblings.want(1);
  assert.deepEqual([b.siblings.isAsked, b.siblings.answer(), b.siblings.isAsked], [true, true, false]);
});

test('who is outside is not waited for, nor for what was dropped by then; an old number waits for no more than there is', () => {
  const { a, b } = two();
  a.siblings.post(POSTED.all, 0, 0, -1);
  a.siblings.settle();
  b.siblings.enter();
  a.siblings.settle(a.siblings.posted + 0x4000_0000);
});

test('one that is inside is waited for', async () => {
  const { a, b, capsule } = two();
  const state = new Int32Array(new SharedArrayBuffer(4));
  b.siblings.enter();
  const worker = new Worker(`
    const { workerData } = require('node:worker_threads');
    import(workerData.siblings).then(async ({ Siblings, POSTED }) => {
      const { Capsule } = await import(workerData.capsule);
      const s = new Siblings(Capsule.attach(workerData.shape), workerData.at, -1);
      s.post(POSTED.page, 0x5000, 0, 1);
      Atomics.store(workerData.state, 0, 1);
      s.settle();
      Atomics.store(workerData.state, 0, 2);
    });`, { eval: true, workerData: { siblings: import.meta.resolve('./siblings.ts'), capsule: import.meta.resolve('#base/capsule.ts'), shape: capsule.shape, at: siblingsAt(capsule.totalFrames), state } });
  const ended = new Promise<number>((resolve) => { worker.on('exit', resolve); });
  while (!b.siblings.isAsked) await new Promise((done) => { setTimeout(done, 1); });
  await new Promise((done) => { setTimeout(done, 20); });
  assert.deepEqual([b.done, Atomics.load(state, 0)], [[], 1]);
  b.siblings.answer();
  assert.deepEqual(b.done, ['page 5000 0 1']);
  assert.equal(await ended, 0);
  assert.deepEqual([a.siblings.posted, state[0]], [1, 2]);
});
