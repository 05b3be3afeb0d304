import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '#toolstack/lifecycle/domains.ts';
import { checkedRequest } from './checked-request.ts';
import { requestOf } from './testing/requests.ts';

test('a request passes as it is, less what none has', () => {
  const request = requestOf('anna', { kernel: '/k', ramdisk: '/r', cap: 5, cpus: ['0-1', 'all'], onCrash: 'coredump-restart' });
  assert.deepEqual(checkedRequest({ ...request, images: 'x', __proto__: 5, toString: 1 }), request);
});

test('each field has to be of its kind', () => {
  const BAD: Readonly<Record<string, readonly unknown[]>> = {
    name: [undefined, 5, null, ['a'], {}], uuid: ['', 'x', 5, null, '12345678-1234-1234-1234-123456789abcd', '12345678-1234-1234-1234-123456789ABC'], memory: ['48', 1.3, null, NaN, undefined], maxmem: ['48', 1.3, null], maxvcpus: ['2', 1.5, null],
    vcpus: ['1', Infinity, undefined], weight: [null, '256'], cap: [[], undefined], kernel: [5, null, {}], ramdisk: [5, null], cmdline: [undefined, 1],
    cpus: ['0', [0], null, {}], onPoweroff: ['', 'coredump', undefined], onReboot: ['toString', 1], onCrash: [null, 'soft-reset'], paused: [0, 'yes', undefined],
  };
  assert.deepEqual(Object.keys(BAD).toSorted(), Object.keys(requestOf('x', { kernel: '', ramdisk: '', cpus: [], maxmem: 0, maxvcpus: 0 })).toSorted(), 'all fields have their cases');
  for (const [key, values] of Object.entries(BAD)) {
    for (const value of values) assert.throws(() => checkedRequest({ ...requestOf('x'), [key]: value }), (e) => e instanceof DomainError && e.message.startsWith(`${key} = `), `${key} ${String(value)}`);
  }
});

test('what is no object is no request', () => {
  for (const value of [undefined, null, 5, 'create', true]) assert.throws(() => checkedRequest(value), DomainError);
});
