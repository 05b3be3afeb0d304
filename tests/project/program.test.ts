// bin/program.mjs: what is loaded is what the sources say, put together or not. Run in a copy of bin/ beside a small program.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKAGES = ['esbuild', '@esbuild'];
let root = '';

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'xenith-program-')));
  cpSync(join(ROOT, 'bin'), join(root, 'bin'), { recursive: true });
  write('package.json', '{ "type": "module", "imports": { "#base/*": "./base/*" } }');
  write('package-lock.json', '{}');
  for (const layer of ['abi', 'machine', 'hypervisor', 'devices', 'toolstack']) mkdirSync(join(root, layer));
  write('base/word.ts', 'export const WORD: string = "one";');
  write('hosts/node/root.ts', 'export const PLACE: string = import.meta.dirname;');
  write('hosts/node/cli/main.ts', 'import { WORD } from "#base/word.ts"; import { PLACE } from "../root.ts"; export const main = (): void => console.log(WORD, PLACE, import.meta.url.endsWith(".ts"));');
  for (const worker of ['compile-worker.ts', 'daemon/cpu-worker.ts']) write(`hosts/node/${worker}`, '');
  mkdirSync(join(root, 'node_modules'));
  for (const name of PACKAGES) symlinkSync(join(ROOT, 'node_modules', name), join(root, 'node_modules', name));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** What the program prints: a word of another file, the place of a third, and whether it was loaded from its source. */
function run(env: Record<string, string> = {}): string {
  const { XENITH_PROGRAM: _, ...own } = process.env;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', `import(${JSON.stringify(join(root, 'bin/program.mjs'))}).then((p) => p.load('main')).then(({ main }) => main())`], { env: { ...own, ...env }, encoding: 'utf8' });
  return stdout + stderr;
}
const cached = (): string[] => readdirSync(join(root, 'node_modules/.cache/xenith')).filter((name) => name.startsWith('program-'));
const place = (): string => join(root, 'hosts/node');

test('it is put together once, and anew when a source has changed', () => {
  assert.equal(run(), `one ${place()} false\n`);
  const [first = ''] = cached();
  assert.equal(run(), `one ${place()} false\n`);
  assert.deepEqual(cached(), [first]);
  write('base/word.ts', 'export const WORD: string = "two";');
  utimesSync(join(root, 'base/word.ts'), 1, 1);
  assert.equal(run(), `two ${place()} false\n`);
  assert.equal(cached().length, 2);
});

test('programs of old sources go, but for a few that may still run', () => {
  for (let i = 0; i < 7; i++) {
    write('base/word.ts', `export const WORD: string = "${'x'.repeat(i)}";`);
    run();
  }
  assert.equal(cached().length, 4);
});

test('the sources are loaded as they are when asked for, without esbuild, when the folder cannot be made, and when they are wrong', () => {
  const fromSource = `one ${place()} true\n`;
  assert.equal(run({ XENITH_SOURCES: '1' }), fromSource);
  write('node_modules/.cache', 'a file');
  assert.equal(run(), fromSource);
  rmSync(join(root, 'node_modules/.cache'));
  rmSync(join(root, 'node_modules/esbuild'));
  assert.equal(run(), fromSource);
});

test('what is wrong in a source is told by the source', () => {
  write('base/word.ts', 'export const WORD: string = ;');
  assert.match(run(), /base\/word\.ts/);
});
