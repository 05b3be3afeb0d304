// The small guests, one domain each: every line that they print must say ok, and afterwards the references on all
// frames must add up. The guests and what they check are in src/; the README says how they were compared with Xen.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SHUTDOWN } from '#abi/xen.ts';
import { auditDomain } from '#hypervisor/testing/audit-domain.ts';
import { manifest, sha256, sourceHashes, tools, unzipped } from './build.ts';
import { allOk, built, ENGINES, image } from './expect.ts';
import { runGuest, runPeers, type GuestOptions } from './run-guest.ts';

const { images } = manifest();

/** Guests that are not just started and watched. */
const CRASHES = 'crashes', HOGS = 'hogs', FUZZ = 'fuzz', ANSWERS = 'answers', NEIGHBOURS = 'neighbours', PEERS = 'peers', PARALLEL = 'parallel';
const SPECIAL: ReadonlySet<string> = new Set([CRASHES, HOGS, FUZZ, ANSWERS, NEIGHBOURS, PEERS, PARALLEL]);
const OPTIONS: Readonly<Record<string, GuestOptions>> = { smp: { vcpus: 2 } };

for (const [engine, compileAfter] of Object.entries(ENGINES)) {
  describe(`guests, ${engine}`, () => {
    for (const name of Object.keys(images).filter((n) => !SPECIAL.has(n))) {
      test(name, () => {
        allOk(runGuest(image(name), { ...OPTIONS[name], compileAfter }));
      });
    }
  });
}

describe('hours of work in one hypercall are done in parts', () => {
  for (const way of ['extents', 'exchange', 'pins', 'links', 'entries', 'clears']) {
    test(way, () => {
      const run = runGuest(image(HOGS), { commandLine: way });
      allOk(run);
      assert.ok(run.longestTurn < 2000, `a turn took ${run.longestTurn} ms`);
    });
  }
});

describe('two domains with a channel between them', () => {
  const commands = ['offer 2', 'bind 1 3'];
  test('on one thread', () => runPeers(image(PEERS), commands).forEach(allOk));
  test('with events that arrive when the other domain has its turn', () => runPeers(image(PEERS), commands, true).forEach(allOk));
});

/** By word of the command line, what the crash report begins with. */
const WAYS_TO_CRASH: Readonly<Record<string, RegExp>> = {
  'no-handler': /unhandled trap page_fault \(error code 0x0\)/,
  'stack-at-zero': /bounce frame for \w+ cannot be written at ffffffffffffffc0/,
  'stack-not-canonical': /bounce frame for \w+ cannot be written at 00007fffffffffc0/,
  'stack-in-xen': /bounce frame for \w+ cannot be written at ffff820000000fc8/,
  'stack-read-only': /bounce frame for \w+ cannot be written/,
  'stack-unmapped-table': /bounce frame for \w+ cannot be written/,
  'handler-not-mapped': /bounce frame for 0000000000001000 cannot be written/,
  'handler-faults': /bounce frame for \w+ cannot be written/,
  'iret-from-nothing': /fault while reading the IRET context/,
  'user-without-tables': /no user page tables/,
  'user-without-kernel-stack': /bounce frame for \w+ cannot be written/,
  'no-callback': /callback is needed that the guest has not registered/,
};

describe('a guest that ends itself', () => {
  for (const [way, report] of Object.entries(WAYS_TO_CRASH)) {
    test(way, () => {
      const { domain, output } = runGuest(image(CRASHES), { commandLine: way });
      assert.equal(domain.shutdownReason, SHUTDOWN.crash, output);
      assert.match(domain.crashText ?? '', report);
      assert.match(domain.crashText ?? '', /^rip [0-9a-f]{16}/m);
      assert.deepEqual(auditDomain(domain), []);
    });
  }
  test('by SCHEDOP_shutdown', () => assert.equal(runGuest(image(CRASHES), { commandLine: 'shutdown-crash' }).domain.shutdownReason, SHUTDOWN.crash));
});

describe('the prebuilt guests', () => {
  const recorded = manifest();
  test('are of these sources (if not: node tests/guests/build.ts)', () => assert.deepEqual(sourceHashes(), recorded.sources));
  test('are what the manifest says', () => {
    for (const [name, hash] of Object.entries(recorded.images)) assert.equal(sha256(unzipped(name)), hash, name);
  });
  const same = tools() === recorded.tools;
  test('are what the compiler makes', { skip: !same && `built with ${recorded.tools}; here: ${tools() ?? 'none'}` }, () => {
    assert.deepEqual([...(built ?? [])].map(([name, elf]) => [name, sha256(elf)]), Object.entries(recorded.images));
  });
});
