// What every command of a hypercall answers to arguments that say nothing, compared with what Debian's Xen 4.17.7
// answered (answers.txt: the output of src/answers.c there, by run-on-xen.sh answers).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { prebuilt } from './build.ts';
import { runGuest } from './run-guest.ts';

/** What we answer differently, and why. */
const KNOWN: Readonly<Record<string, string>> = {
  'physdev_op zeros 19': 'PCI device 00:00.0 is there, here is none', 'physdev_op zeros 27': 'PCI device 00:00.0 is there, here is none',
  'memory_op self 4': 'xl lets a domain have 1 MiB more than it gets',
};

/** Answers by "hypercall kind command"; a command without one is -ENOSYS. */
function parse(text: string): Map<string, string> {
  const answers = new Map<string, string>();
  for (const [, name, list] of text.matchAll(/^([a-z_]+ [a-z]+):(.*)$/gm)) {
    for (const [, command, answer] of (list ?? '').matchAll(/ (\d+)=(\S+)/g)) answers.set(`${name} ${command}`, answer ?? '');
  }
  return answers;
}

test('hypercalls answer what Xen answers', () => {
  const xens = parse(readFileSync(join(import.meta.dirname, 'answers.txt'), 'utf8'));
  const ours = parse(runGuest(prebuilt('answers')).output);
  const keys = [...new Set([...xens.keys(), ...ours.keys()])];
  assert.ok(keys.length > 1000, `only ${keys.length} answers`);
  const same = (key: string): boolean => ours.get(key) === xens.get(key) || (xens.get(key) === '+' && Number(ours.get(key)) > 0);
  const different = keys.filter((key) => !same(key)).map((key) => `${key}: ${ours.get(key) ?? '-38'}, Xen ${xens.get(key) ?? '-38'}`);
  assert.deepEqual(different.filter((line) => !(line.slice(0, line.indexOf(':')) in KNOWN)), []);
  assert.deepEqual(Object.keys(KNOWN).filter(same), [], 'these are the same by now');
});
