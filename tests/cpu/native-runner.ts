// Builds and drives machine/vectors/native/runner.c: what the processor of this machine does with test cases.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case, Outcome } from '#machine/vectors/case.ts';
import { readOutcome, Reader, writeCase, Writer } from '#machine/vectors/codec.ts';

const SOURCE = fileURLToPath(new URL('../../machine/vectors/native/runner.c', import.meta.url));
const FLAGS = ['-O2', '-Wall', '-Wextra', '-Werror', '-fno-stack-protector', '-mfsgsbase', '-Wl,-z,now'];

/** True when this machine can run cases: x86-64 Linux with a C compiler. */
export function nativeAvailable(): boolean {
  return process.platform === 'linux' && process.arch === 'x64' && spawnSync('gcc', ['--version']).status === 0;
}

/**
 * Compiles the runner unless an up-to-date one is there.
 * @returns path of the program
 * @throws Error with the compiler's words
 */
export function buildRunner(): string {
  const directory = join(tmpdir(), `xenith-native-${process.getuid?.() ?? 0}`);
  mkdirSync(directory, { recursive: true });
  const program = join(directory, 'runner');
  if (existsSync(program) && statSync(program).mtimeMs > statSync(SOURCE).mtimeMs) return program;
  const result = spawnSync('gcc', [...FLAGS, '-o', program, SOURCE], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`gcc: ${result.stderr}`);
  return program;
}

/**
 * Runs cases on the real processor.
 * @throws Error when the runner dies or answers for fewer cases than it got
 */
export function runNative(program: string, cases: readonly Case[]): Outcome[] {
  const w = new Writer();
  for (const c of cases) writeCase(w, c);
  const result = spawnSync(program, [], { input: w.take(), maxBuffer: 1 << 30 });
  if (result.status !== 0) throw new Error(`native runner: ${result.signal ?? result.status} ${result.stderr.toString()}`);
  const r = new Reader(result.stdout);
  const outcomes: Outcome[] = [];
  while (!r.done) outcomes.push(readOutcome(r));
  if (outcomes.length !== cases.length) throw new Error(`native runner: ${outcomes.length} outcomes for ${cases.length} cases`);
  return outcomes;
}

/** Name of this machine's processor. */
export function processorName(): string {
  const line = readFileSync('/proc/cpuinfo', 'utf8').split('\n').filter((l) => /^(model name|cpu family|model|stepping)\s*:/.test(l)).slice(0, 4);
  return line.map((l) => l.replace(/\s+/g, ' ')).join(', ');
}
