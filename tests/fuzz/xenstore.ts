// node bin/with-node.mjs tests/fuzz/xenstore.ts [--messages N] [--seed S] [--life MESSAGES]
// Runs the hostile xenstore client in one fresh store after the other until it has sent N messages. Seed S starts the
// series: store i has seed S + i, so that a single one can be run again with --seed. Exit status 1 when anything
// happened that must not.

import { parseArgs } from 'node:util';
import { fuzzWire } from '#toolstack/xenstore/testing/fuzz-wire.ts';

const { values } = parseArgs({
  options: { messages: { type: 'string', default: '200000' }, seed: { type: 'string', default: '1' }, life: { type: 'string', default: '5000' } },
});

const wanted = Number(values.messages), life = Number(values.life);
const started = performance.now();
let sent = 0, bad = 0;
for (let seed = Number(values.seed); sent < wanted && bad < 10; seed++) {
  const messages = Math.min(life, wanted - sent);
  sent += messages;
  const { problems } = fuzzWire(seed, messages);
  if (problems.length === 0) continue;
  bad++;
  console.log(`seed ${seed}:\n  ${problems.slice(0, 8).join('\n  ')}`);
}
console.log(`${sent} messages in ${((performance.now() - started) / 1000).toFixed(1)} s; ${bad} stores with problems`);
process.exitCode = bad > 0 ? 1 : 0;
