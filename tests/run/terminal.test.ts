// A person at a terminal: `script` of util-linux makes one for the test.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { XENITH } from './xenith.ts';

const noScript = spawnSync('script', ['--version']).status !== 0 && 'needs script of util-linux';

interface Step { readonly await: RegExp; readonly type: string; /** in ms, so that what was started has started */ readonly after?: number }

/** Runs a shell command line on a new terminal of 30 × 100 and types, each time when the screen shows what is awaited. */
function onTerminal(command: string, steps: readonly Step[]): Promise<string> {
  const child = spawn('script', ['-qec', `stty rows 30 cols 100; ${command}`, '/dev/null'], { env: { ...process.env, TERM: 'vt100', SHELL: '/bin/sh' } });
  let screen = '', seen = 0;
  const waiting = [...steps];
  child.stdout.on('data', (bytes: Buffer) => {
    screen += bytes;
    const [step] = waiting;
    if (!step?.await.test(screen.slice(seen))) return;
    seen = screen.length;
    waiting.shift();
    setTimeout(() => child.stdin.write(step.type), step.after ?? 0);
  });
  return new Promise((done) => { child.on('close', () => done(screen)); });
}

const PROMPT = /:~# /;
const run = `'${process.execPath}' '${XENITH}' run --append quiet --timeout 60`;
const after = 'echo "status $?"; stty -a | grep -o -e "[-]*icanon" -e "[-]*echo " -e "[-]*opost"';
const RESTORED = /status (\d+)\r\n(?=[^]*(?<!-)opost)(?=[^]*(?<!-)icanon)(?=[^]*(?<!-)echo )/;

test('a shell with the terminal\'s size and type; Ctrl-C is the guest\'s; Ctrl-] leaves; the terminal is restored', { skip: noScript }, async () => {
  const screen = await onTerminal(`${run}; ${after}`, [
    { await: PROMPT, type: 'stty size; echo $TERM; tty\r' },
    { await: PROMPT, type: 'echo go; sleep 100\r' },
    { await: /^go\r\n/m, type: '\x03', after: 500 },
    { await: PROMPT, type: 'echo alive; exit 3\x1d' },
  ]);
  assert.match(screen, /30 100\r\n/);
  assert.match(screen, /vt100\r\n/);
  assert.match(screen, /\/dev\/hvc0\r\n/);
  assert.match(screen, /\^C/);
  assert.match(screen, /left the console; the domain is destroyed/);
  assert.equal(RESTORED.exec(screen)?.[1], '0', screen);
});

test('power-off ends it and restores the terminal', { skip: noScript }, async () => {
  const screen = await onTerminal(`${run}; ${after}`, [{ await: PROMPT, type: 'poweroff -f\r' }]);
  assert.equal(RESTORED.exec(screen)?.[1], '0', screen);
});

test('a signal restores the terminal', { skip: noScript }, async () => {
  const screen = await onTerminal(`(sleep 3; pkill -TERM -P $$ node) & ${run}; ${after}`, []);
  assert.equal(RESTORED.exec(screen)?.[1], '143', screen);
});

test('output that goes elsewhere is plain even when the input is a terminal', { skip: noScript }, async () => {
  const screen = await onTerminal(`${run} -- sh -c 'echo a; echo b' | od -An -c`, []);
  assert.match(screen, /a {2}\\n {3}b {2}\\n/);
});

test('what is typed while the first start boots is for that guest, not for those that go on from it', { skip: noScript }, async () => {
  const own = `'${process.execPath}' '${XENITH}' run --memory ${70 + process.pid % 150}M --timeout 60`; // no other test has kept one of that size
  const first = await onTerminal(own, [
    { await: /Linux version/, type: 'echo typed$((1 + 1))\r' },
    { await: /^typed2\r\n/m, type: 'poweroff -f\r' },
  ]);
  assert.match(first, /^typed2\r\n/m);
  const second = await onTerminal(own, [{ await: PROMPT, type: 'poweroff -f\r', after: 1000 }]);
  assert.doesNotMatch(second, /Linux version|typed/);
});
