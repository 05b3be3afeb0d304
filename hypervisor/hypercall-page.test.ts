import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HYPERVISOR } from '#abi/xen.ts';
import { Capsule } from '#base/capsule.ts';
import { fillHypercallPage } from './hypercall-page.ts';

test('each entry loads its number, issues SYSCALL and keeps rcx and r11; iret is jumped to', () => {
  const capsule = new Capsule(2, 2, 0);
  const page = capsule.frame(2);
  fillHypercallPage(capsule, page);
  const stub = (n: number): string => Buffer.from(capsule.u8.slice(page + n * 32, page + n * 32 + 16)).toString('hex');
  assert.equal(stub(0), '514153b8000000000f05415b59c3cccc');
  assert.equal(stub(HYPERVISOR.sched_op), '514153b81d0000000f05415b59c3cccc');
  assert.equal(stub(127), '514153b87f0000000f05415b59c3cccc');
  assert.equal(stub(HYPERVISOR.iret), '51415350b8170000000f05cccccccccc');
});
