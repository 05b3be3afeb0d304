// bin/node.mjs: sets up what is missing, and says plainly when it cannot. Run in a copy of bin/ with an npm of the test's.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../bin', import.meta.url));
let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'xenith-launcher-'));
  cpSync(BIN, join(root, 'bin'), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ packages: { '': {}, 'node_modules/needed': { version: '1.0.0' }, 'node_modules/other-platform': { version: '1.0.0', optional: true } } }));
  npmThat('exit 1');
});
afterEach(() => rmSync(root, { recursive: true }));

/** Puts an npm first in the path that is this shell script. */
function npmThat(script: string): void {
  mkdirSync(join(root, 'path'), { recursive: true });
  writeFileSync(join(root, 'path/npm'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(root, 'path/npm'), 0o755);
}

function installed(version: string): void {
  mkdirSync(join(root, 'node_modules'), { recursive: true });
  writeFileSync(join(root, 'node_modules/.package-lock.json'), JSON.stringify({ packages: { 'node_modules/needed': { version } } }));
}

function withNode(args: readonly string[], preload = ''): { status: number | null; signal: NodeJS.Signals | null; out: string; err: string } {
  const options = preload === '' ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
  const env = { ...process.env, PATH: `${join(root, 'path')}${delimiter}${process.env['PATH']}` };
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...options, join(root, 'bin/with-node.mjs'), ...args], { env, encoding: 'utf8' });
  return { status, signal, out: stdout, err: stderr };
}

const OLD_NODE = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.11.0" } })';

test('what is installed is used as it is: npm is not called', () => {
  installed('1.0.0');
  assert.deepEqual(withNode(['-p', '6*7']), { status: 0, signal: null, out: '42\n', err: '' });
});

test('missing packages are installed first, with npm\'s output on standard error', () => {
  npmThat(`echo "npm $1 in $PWD"; mkdir node_modules; echo '{"packages":{"node_modules/needed":{"version":"1.0.0"}}}' > node_modules/.package-lock.json`);
  const first = withNode(['-p', '6*7']);
  assert.equal(first.out, '42\n');
  assert.match(first.err, /installing npm packages[^]*npm ci in .*xenith-launcher/);
  assert.equal(withNode(['-p', '6*7']).err, '');
});

test('packages of another version than the lock file\'s are installed anew', () => {
  installed('0.9.0');
  assert.match(withNode(['-p', '1']).err, /installing npm packages/);
});

test('a plain error when npm fails, and when there is none', () => {
  const failed = withNode(['-p', '1']);
  assert.equal(failed.status, 69);
  assert.match(failed.err, /^xenith: npm ci failed/m);
  assert.doesNotMatch(failed.err, /at .*\.mjs/);
});

test('a plain error when this Node is too old and no other is installed', () => {
  installed('1.0.0');
  const { status, err } = withNode(['-p', '1'], OLD_NODE);
  assert.equal(status, 69);
  assert.match(err, /^xenith: this is Node 20\.11\.0; Node 24\.12 or newer is needed, and the npm package node\S+, which would bring one, is not installed/);
});

test('an old Node hands over to the one of the package', { skip: process.platform === 'win32' }, () => {
  installed('1.0.0');
  const prefix = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node';
  const folder = join(root, 'node_modules', `${prefix}-${process.platform}-${process.arch}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "bin": { "node": "other-node" } }');
  writeFileSync(join(folder, 'other-node'), '#!/bin/sh\necho "other node: $@"\nexit 7\n');
  chmodSync(join(folder, 'other-node'), 0o755);
  assert.deepEqual(withNode(['a', 'b'], OLD_NODE), { status: 7, signal: null, out: 'other node: a b\n', err: '' });
});

test('exit status and signals pass through', () => {
  installed('1.0.0');
  assert.equal(withNode(['-e', 'process.exit(5)']).status, 5);
  assert.equal(withNode(['-e', 'process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 9999)']).signal, 'SIGTERM');
  assert.equal(withNode(['-e', 'process.on("SIGHUP", () => process.exit(9)); setTimeout(() => {}, 9999); process.kill(process.ppid, "SIGHUP")']).status, 9);
});
