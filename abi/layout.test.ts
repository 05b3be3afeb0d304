// Every struct under abi/ against Xen's public headers: gcc prints sizeof and offsetof, we compare. To register a
// struct, list it in its file's `C_LAYOUTS` (c-layout.ts); nothing is needed here. Without gcc or Debian's
// libxen-dev the test is skipped: struct() has then still compared each size with the one written beside it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { CLayout } from './c-layout.ts';

const HEADERS = '/usr/include/xen';

async function registered(): Promise<Map<string, readonly CLayout[]>> {
  const files = new Map<string, readonly CLayout[]>();
  for (const name of readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
    const module = (await import(`./${name}`)) as { C_LAYOUTS?: readonly CLayout[] } & Record<string, unknown>;
    const layouts = module.C_LAYOUTS ?? [];
    for (const [key, value] of Object.entries(module)) {
      const isStruct = typeof value === 'object' && value !== null && 'offset' in value && 'on' in value;
      if (isStruct) assert.ok(layouts.some((l) => (l.struct as unknown) === value), `${name}: ${key} is not in C_LAYOUTS`);
    }
    if (layouts.length > 0) files.set(name, layouts);
  }
  return files;
}

function program(layouts: readonly CLayout[]): string {
  const lines = layouts.map((l) => {
    const fields = Object.keys(l.struct.offset).filter((f) => !l.unnamed.includes(f));
    return [`P(sizeof(${l.c}));`, ...fields.map((f) => `P(offsetof(${l.c}, ${l.members[f] ?? f}));`)].join('\n');
  });
  const headers = [...new Set(['xen.h', ...layouts.map((l) => l.header)])];
  return `#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n#define __XEN_INTERFACE_VERSION__ 0x00041100\n#define __XEN_TOOLS__ 1
${headers.map((h) => `#include <xen/${h}>`).join('\n')}\n#define P(n) printf("%zu\\n", (size_t)(n))\nint main(void) {\n${lines.join('\n')}\nreturn 0; }\n`;
}

function run(source: string): number[] {
  const dir = mkdtempSync(join(tmpdir(), 'xenith-layout-'));
  try {
    writeFileSync(join(dir, 'layout.c'), source);
    execFileSync('gcc', ['-std=gnu11', '-o', join(dir, 'layout'), join(dir, 'layout.c')], { stdio: ['ignore', 'pipe', 'inherit'] });
    return execFileSync(join(dir, 'layout'), { encoding: 'utf8' }).trim().split('\n').map(Number);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function whyNot(): string | false {
  if (!existsSync(join(HEADERS, 'xen.h'))) return `no Xen headers in ${HEADERS} (Debian: libxen-dev)`;
  try { execFileSync('gcc', ['--version'], { stdio: 'ignore' }); } catch { return 'no gcc'; }
  return false;
}

const files = await registered();
describe('layouts agree with a C compiler', { skip: whyNot() }, () => {
  for (const [file, layouts] of files) {
    test(`abi/${file}`, () => {
      const numbers = run(program(layouts));
      let i = 0;
      for (const { struct, c, unnamed } of layouts) {
        assert.equal(struct.size, numbers[i++], `sizeof(${c})`);
        for (const [field, offset] of Object.entries(struct.offset)) {
          if (!unnamed.includes(field)) assert.equal(offset, numbers[i++], `offsetof(${c}, ${field})`);
        }
      }
      assert.equal(i, numbers.length);
    });
  }
});
