// What the small guests print, in the Test Anything Protocol.

import assert from 'node:assert/strict';

/** Every line says ok, and all are there. */
export function linesOk(output: string): void {
  assert.deepEqual(output.split('\n').filter((line) => line !== '' && !/^(ok \d+ - |1\.\.\d+$)/.test(line)), []);
  assert.match(output, new RegExp(`1\\.\\.${output.split('\n').length - 2}\n$`), 'the plan counts the lines');
}
