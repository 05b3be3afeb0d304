// Core files of a daemon's domains: on demand, and when they crash.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { arch_shared_info, shared_info, vcpu_guest_context } from '#abi/xen.ts';
import { parseCore, type Core } from '#toolstack/dump/testing/parse-core.ts';
import { Daemon } from './daemon-process.ts';

const daemon = new Daemon();
const core = (path: string): Core => parseCore(readFileSync(path));
/** The guest's kernel says in it what it is. */
function assertIsTheGuest(path: string, vcpus = 1): void {
  const { vcpus: contexts, p2m } = core(path);
  assert.equal(contexts.length, vcpus);
  assert.equal(new Set(p2m.map(({ pfn }) => pfn)).size, 48 * 256, 'every page once');
  assert.ok(readFileSync(path).includes('Linux version 6.1'), 'its memory is there');
}
/** The frames of the guest's pages as its kernel has them: read from the core alone, by its page tables. */
function framesOfTheKernel({ sections, vcpus, p2m, page }: Core): number[] {
  const pages = new Map(p2m.map(({ gmfn }, i) => [gmfn, i]));
  const word = (gmfn: number, at: number): bigint => {
    const bytes = page(pages.get(gmfn) ?? assert.fail(`frame ${gmfn} is not in the core`));
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);
  };
  const base = (vcpus[0] as DataView).getBigUint64(vcpu_guest_context.offset.ctrlreg + 24, true);
  const walk = (va: bigint): number => [39n, 30n, 21n, 12n].reduce((gmfn, shift) => Number(word(gmfn, Number(va >> shift & 511n) * 8) >> 12n & 0xff_ffff_ffffn), Number(base >> 12n));
  const shared = sections.get('.xen_shared_info')?.bytes ?? assert.fail();
  const arch = arch_shared_info.on(Uint8Array.from(shared).buffer).at(shared_info.offset.arch);
  assert.notEqual(arch.p2m_vaddr, 0n, 'the kernel says where its list is');
  return Array.from({ length: 48 * 256 }, (_, pfn) => {
    const va = arch.p2m_vaddr + BigInt(pfn * 8);
    return Number(word(walk(va), Number(va & 4095n)));
  });
}
/** A guest whose init is a shell: its kernel panics when that ends. */
const SHELL_IS_INIT = 'extra="rdinit=/bin/sh"';

describe('core files of a daemon', { timeout: 240_000 }, () => {
  before(() => daemon.start());
  after(() => daemon.remove());

  test('a domain’s core is dumped while it stands still; it goes on afterwards', async () => {
    await daemon.ok('create', 'name="anna"', 'memory=48', 'vcpus=2');
    await daemon.converse('anna', 'echo re""ady\n', /ready/);
    const path = join(daemon.state, 'anna.core');
    await daemon.ok('dump-core', 'anna', path);
    assertIsTheGuest(path, 2);
    await daemon.converse('anna', 'echo ag""ain\n', /again/);
    const dumped = core(path);
    const frames = new Map(dumped.p2m.map(({ pfn, gmfn }) => [pfn, gmfn]));
    framesOfTheKernel(dumped).forEach((gmfn, pfn) => assert.equal(gmfn, frames.get(pfn), `pfn ${pfn}`));
  });

  test('a paused domain stays paused; a live one runs on', async () => {
    const path = join(daemon.state, 'second.core');
    await daemon.ok('pause', 'anna');
    await daemon.ok('dump-core', 'anna', path);
    assert.match((await daemon.one('anna')).state, /^-[b-]p---$/);
    await daemon.ok('unpause', 'anna');
    await daemon.ok('dump-core', '--live', 'anna', path);
    assertIsTheGuest(path, 2);
  });

  test('what cannot be is refused with a reason', async () => {
    for (const [words, reason] of [
      [['nobody', '/tmp/x'], /nobody: no such domain/], [['anna'], /words are missing/], [['anna', join(daemon.state, 'none', 'core')], /core file .*none\/core: no such file/],
      [['0', '/tmp/x'], /Domain-0 is the machine itself/],
    ] as const) {
      const r = await daemon.call('dump-core', ...words);
      assert.notEqual(r.status, 0);
      assert.match(r.err, reason);
    }
    assert.match(await daemon.converse('anna', 'echo no ha""rm\n', /no harm/), /no harm/);
  });

  test('hostile requests are answered, and harm nobody', async () => {
    for (const request of [
      { command: 'dump-core', domain: 'anna' }, { command: 'dump-core', domain: 'anna', file: 1, live: 'x' }, { command: 'dump-core', domain: 'anna', file: 'a\0b' }, { command: 'dump-core', domain: {}, file: '/tmp/x' },
      { command: 'trace' }, { command: 'trace', seconds: '1', file: '/tmp/x\0' }, { command: 'trace', seconds: -1, file: '/tmp/x' }, { command: 'trace', seconds: 1e300, file: '/tmp/x' }, { command: 'debug-keys' }, { command: 'debug-keys', keys: ['__proto__'] },
    ]) assert.match(await daemon.raw(`${JSON.stringify(request)}\n`), /^\{"ok":false,"error":".+"\}\n$/, JSON.stringify(request));
    assert.match(await daemon.converse('anna', 'echo un""harmed\n', /unharmed/), /unharmed/);
  });

  test('with -c it is crashed, and its file says what becomes of it', async () => {
    await daemon.ok('create', 'name="bert"', 'memory=48', 'on_crash="preserve"');
    await daemon.converse('bert', 'echo re""ady\n', /ready/);
    await daemon.ok('dump-core', '-c', 'bert', join(daemon.state, 'bert.core'));
    await daemon.until('it has crashed', async () => (await daemon.list()).find(({ name }) => name === 'bert')?.state === '----c-');
    assertIsTheGuest(join(daemon.state, 'bert.core'));
    await daemon.ok('destroy', 'bert');
  });

  for (const [action, restarts] of [['coredump-destroy', false], ['coredump-restart', true]] as const) {
    test(`on_crash = "${action}"`, async () => {
      const name = action.replace('coredump-', 'c-');
      await daemon.ok('create', `name="${name}"`, 'memory=48', SHELL_IS_INIT, `on_crash="${action}"`);
      const domid = await daemon.ok('domid', name);
      await daemon.converse(name, 'echo re""ady\n', /ready/);
      await daemon.converse(name, 'exit\n', /exit/);
      const path = join(daemon.state, 'dump', name);
      await daemon.until('it is gone', async () => !(await daemon.list()).some((d) => String(d.domid) === domid));
      assertIsTheGuest(path);
      assert.match(daemon.log, new RegExp(`domain ${domid} \\(${name}\\): core file written to ${path}`));
      assert.equal((await daemon.list()).some((d) => d.name === name), restarts);
    });
  }

  test('on_reboot = "rename-restart" keeps the old one beside the new', async () => {
    await daemon.ok('create', 'name="rita"', 'memory=48', 'on_reboot="rename-restart"');
    const before = (await daemon.list()).find(({ name }) => name === 'rita');
    await daemon.converse('rita', 'echo re""ady\n', /ready/);
    await daemon.converse('rita', 'reboot -f\n', /reboot -f/);
    await daemon.until('another one runs', async () => (await daemon.list()).some((d) => d.name === 'rita' && d.domid !== before?.domid));
    const all = await daemon.list();
    const [old, rita] = [all.find((d) => d.domid === before?.domid), all.find(({ name }) => name === 'rita')];
    assert.match(old?.name ?? '', /^rita-\d{8}T\d{4}Z$/);
    assert.equal(old?.state[3], 's');
    assert.equal(rita?.uuid, before?.uuid);
    assert.notEqual(old?.uuid, rita?.uuid);
    assert.match(await daemon.converse(old?.name ?? '', '', /reboot -f/), /ready/, 'what it said can still be read');
    await daemon.ok('destroy', old?.name ?? '');
    assert.match(await daemon.converse('rita', 'echo still he""re\n', /still here/), /still/);
  });

  test('a soft reset is nothing for PV guests', async () => {
    assert.match((await daemon.call('create', 'name="x"', 'on_crash="soft-reset"')).err, /on_crash = "soft-reset": PV guests have no soft reset/);
    assert.ok(!existsSync(join(daemon.state, 'dump', 'x')));
  });
});
