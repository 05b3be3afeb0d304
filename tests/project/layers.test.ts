// The layers hold: no import points up, the pure layers know no host, files are of a size to be read. `tsc -b` checks
// types along the same arrows; this names the file and the line, and sees what types do not.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAYERS = ['base', 'abi', 'machine', 'hypervisor', 'devices', 'toolstack', 'hosts'];
const PURE = LAYERS.slice(0, -1);
const PACKAGES = ['fflate', 'fzstd'];
const HOST_GLOBALS = /(?<![\w.'`#/-])(process|Buffer|performance|console|setTimeout|setInterval|setImmediate|fetch|window|document|navigator|require)(?=[.([])/;
const LONGEST_FILE = 450;

const sources = globSync(`{${LAYERS.join(',')}}/**/*.ts`, { cwd: ROOT });
const isTest = (file: string): boolean => file.endsWith('.test.ts') || file.includes('/testing/') || file.includes('/vectors/');
const text = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
/** The source without comments and the contents of strings and templates. */
const code = (source: string): string => source.replace(/\/\*[^]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g, (m) => m.replace(/[^\n]/g, ' '));

interface Import { readonly file: string; readonly line: number; readonly specifier: string }
const imports: Import[] = sources.flatMap((file) => text(file).split('\n').flatMap((line, i) => {
  const match = /^\s*(?:import|export|\}) .*?from '([^']+)';/.exec(line) ?? /^import '([^']+)';/.exec(line) ?? /\bimport\('([^']+)'\)/.exec(line);
  return match?.[1] === undefined ? [] : [{ file, line: i + 1, specifier: match[1] }];
}));
const layerOf = (file: string): string => file.split('/')[0] as string;
const place = ({ file, line, specifier }: Import): string => `${file}:${line} imports ${specifier}`;

/** What breaks a rule, as lines to read; the list must be empty. */
function none(offenders: readonly string[], rule: string): void { assert.deepEqual(offenders, [], rule); }

test('there is something to check', () => {
  assert.ok(sources.length > 100);
  assert.ok(imports.length > 500);
});

test('no import points up', () => {
  const upward = imports.filter(({ file, specifier }) => {
    const target = /^#(\w+)\//.exec(specifier)?.[1];
    return target !== undefined && LAYERS.indexOf(target) > LAYERS.indexOf(layerOf(file));
  });
  none(upward.map(place), LAYERS.join(' ← '));
});

test('imports are relative within a layer and by name across layers, and name the file', () => {
  const odd = imports.filter(({ file, specifier }) => {
    if (specifier.startsWith('#')) return specifier.startsWith(`#${layerOf(file)}/`) || !specifier.endsWith('.ts');
    if (!specifier.startsWith('.')) return false;
    const target = layerOf(relative(ROOT, join(ROOT, dirname(file), specifier)));
    return (target !== layerOf(file) && !isTest(file)) || !/\.(ts|json)$/.test(specifier);
  });
  none(odd.map(place), 'relative inside a layer, #layer/file.ts across');
});

test('the pure layers import nothing of a host, and no packages but those that are pure', () => {
  const foreign = imports.filter(({ file, specifier }) => PURE.includes(layerOf(file)) && !isTest(file) && !/^[#.]/.test(specifier) && !PACKAGES.includes(specifier));
  none(foreign.map(place), 'hosts/ alone touches a runtime');
});

test('the pure layers use no global of a host', () => {
  const uses = sources.filter((file) => PURE.includes(layerOf(file)) && !isTest(file)).flatMap((file) => (
    code(text(file)).split('\n').flatMap((line, i) => {
      const name = HOST_GLOBALS.exec(line)?.[1];
      return name === undefined || new RegExp(`\\b(const|let|this\\.|readonly|function) ?${name}\\b|\\b${name}[,:}]`).test(code(text(file))) ? [] : [`${file}:${i + 1} uses ${name}`];
    })
  ));
  none(uses, 'what a host has comes through base/host.ts');
});

test('the toolstack manages domains by the door alone', () => {
  const management = /\b(destroyDomain|initDomainState|initMemory|startBootVcpu|setGuestHandle|vcpuContext|pressKey|max_pages)\b|new DomainGlance\(|\.(pause|unpause)\(VPF|\bShare\.begin|\bshare\.set\(|\btrace\.keep\(|\bdomain\.crash\(|Capsule\.attach\(/;
  // domains that are moved, or reached from another thread, are the hypervisor's business
  const attaching = ['toolstack/lifecycle/cpu-services.ts', 'toolstack/lifecycle/cpu-peers.ts'];
  const uses = sources.filter((file) => ['devices', 'toolstack', 'hosts'].includes(layerOf(file)) && !isTest(file)).flatMap((file) => (
    code(text(file)).split('\n').flatMap((line, i) => {
      const name = management.exec(line)?.[0];
      return name === undefined || (name.startsWith('Capsule') && attaching.includes(file)) ? [] : [`${file}:${i + 1} uses ${name}`];
    })
  ));
  none(uses, 'hypervisor/management.ts asks who is it that manages');
});

test('one file alone asks where it lies: put together with others it is elsewhere (bin/program.mjs)', () => {
  none(sources.filter((file) => !isTest(file) && file !== 'hosts/node/root.ts' && /import\.meta/.test(code(text(file)))), 'hosts/node/root.ts');
});

test('no file is too long to be read', () => {
  none(sources.filter((file) => !isTest(file)).map((file) => [file, text(file).split('\n').length] as const).filter(([, lines]) => lines > LONGEST_FILE).map(([file, lines]) => `${file}: ${lines} lines`), `${LONGEST_FILE} lines at most`);
});

test('nothing refers to a machine or a person that it was made on', () => {
  const all = globSync('{bin,bench,tests,docs,guest,*.md,.ci,base,abi,machine,hypervisor,devices,toolstack,hosts}/**/*.{ts,mjs,md,sh,c,svg}', { cwd: ROOT });
  none(all.filter((file) => file !== 'tests/project/layers.test.ts' && /\/work\/(main|shared)|\/home\/\w+|\/root\/\./.test(text(file))), 'no paths of a machine');
});
