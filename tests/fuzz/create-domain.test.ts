// Real images, truncated and corrupted, through the whole of createDomain: it ends in a domain or in a BuilderError,
// never in anything else; and what could be built runs a little, as the wreck of a kernel that it is.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Host } from '#base/host.ts';
import { NODE_DECOMPRESSORS } from '#hosts/node/decompressors.ts';
import { runDomain } from '#hypervisor/sched.ts';
import { BuilderError } from '#toolstack/builder/builder-error.ts';
import { extractPayload } from '#toolstack/builder/bzimage.ts';
import { createDomain } from '#toolstack/lifecycle/create-domain.ts';
import type { DomainConfig } from '#toolstack/lifecycle/make-domain.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { auditDomain } from '#hypervisor/testing/audit-domain.ts';
import { unzipped } from '../guests/build.ts';

const host: Host = { now: () => 0, wallClock: () => 0, random: () => {}, log: () => {} };
const root = join(import.meta.dirname, '..', '..');
const read = (path: string): Uint8Array => new Uint8Array(readFileSync(path));

let seed = 1;
function random(n: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * n);
}

const RUN_NS = 200_000;

/** @returns the error's code, or 'built' */
function attempt(kernel: Uint8Array, change: Partial<DomainConfig> = {}): string {
  const config: DomainConfig = {
    domid: 1, name: 'wreck', uuid: '00000000-0000-0000-0000-000000000001', kernel, commandLine: '', memory: 8, vcpus: 1, deterministic: true,
    decompressors: NODE_DECOMPRESSORS, ...change,
  };
  try {
    const { domain } = createDomain(config, host, new Store(), () => {});
    runDomain(domain, RUN_NS);
    assert.doesNotMatch(domain.crashText ?? '', /error in the hypervisor/);
    assert.deepEqual(auditDomain(domain), []);
    return 'built';
  } catch (error) {
    if (error instanceof BuilderError) return error.code;
    throw error;
  }
}

/** A few bytes replaced, within [0, within), by preference with values that make limits. */
function mutate(image: Uint8Array, within: number): Uint8Array {
  const bad = image.slice();
  for (let k = random(5); k >= 0; k--) {
    const at = random(Math.min(within, bad.length));
    bad.fill([0, 0xff, 0x80, 0x7f, 1, random(256)][random(6)] ?? 0, at, at + (random(3) ? 1 : 8));
  }
  return bad;
}

/** Tries mutated images, and says how often each outcome came. */
function tryMany(image: Uint8Array, within: number, times: number, change: Partial<DomainConfig>): Map<string, number> {
  const outcomes = new Map<string, number>();
  for (let i = 0; i < times; i++) {
    const outcome = attempt(i % 8 === 7 ? image.slice(0, random(image.length)) : mutate(image, within), change);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  assert.ok(outcomes.size > 1, `only ${[...outcomes.keys()].join()}`);
  return outcomes;
}

describe('corrupt images', () => {
  const small = unzipped('hypercalls');
  test('a small guest: headers and notes', () => { tryMany(small, 64 + 2 * 56, 100, {}); });
  test('a small guest: all of it', () => { assert.ok((tryMany(small, small.length, 60, {}).get('built') ?? 0) > 20); });

  const bzImage = join(root, 'guest/dist/vmlinuz-xenith');
  test('the default guest’s kernel: its header', () => { tryMany(read(bzImage), 0x270, 12, { memory: 32 }); });
  test('the default guest’s kernel: its payload', () => { tryMany(read(bzImage), Infinity, 10, { memory: 32 }); });
  test('the default guest’s kernel, unpacked: headers', () => { tryMany(extractPayload(read(bzImage), NODE_DECOMPRESSORS), 64 + 5 * 56, 40, { memory: 32 }); });

  const grub = '/usr/lib/grub-xen/grub-x86_64-xen.bin';
  test('GRUB', { skip: !existsSync(grub) && `no ${grub} (Debian: grub-xen-host)` }, () => { tryMany(read(grub), 0x260, 40, { memory: 32 }); });
});

describe('impossible configurations', () => {
  const kernel = unzipped('crashes');
  const refused: [what: string, change: Partial<DomainConfig>, code: string][] = [
    ['no memory', { memory: 0 }, 'bad-size'], ['negative memory', { memory: -5 }, 'bad-size'], ['memory that is no number', { memory: NaN }, 'bad-size'],
    ['half a page of memory', { memory: 8 + 1 / 512 }, 'bad-size'], ['4 GiB', { memory: 4096 }, 'bad-size'], ['memory without end', { memory: Infinity }, 'bad-size'],
    ['2^53 MiB', { memory: 2 ** 53 }, 'bad-size'], ['one page of memory', { memory: 1 / 256 }, 'too-little-memory'],
    ['no vCPU', { vcpus: 0 }, 'bad-size'], ['33 vCPUs', { vcpus: 33 }, 'bad-size'], ['half a vCPU', { vcpus: 0.5 }, 'bad-size'],
    ['a long command line', { commandLine: 'x'.repeat(5000) }, 'bad-command-line'], ['a command line that is not ASCII', { commandLine: 'ä' }, 'bad-command-line'],
    ['an initrd larger than memory', { initrd: new Uint8Array(9 << 20) }, 'too-little-memory'], ['no kernel', { kernel: new Uint8Array(0) }, 'not-a-kernel'],
  ];
  for (const [what, change, code] of refused) test(what, () => assert.equal(attempt(kernel, change), code));
  test('an initrd of garbage', () => assert.equal(attempt(kernel, { initrd: Uint8Array.from({ length: 5000 }, () => random(256)) }), 'built'));
  test('32 vCPUs', () => assert.equal(attempt(kernel, { vcpus: 32 }), 'built'));
});
