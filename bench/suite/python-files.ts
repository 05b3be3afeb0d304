// Which files of this machine Python needs to run the scripts: the program, the modules that the scripts import, and the
// libraries of both. Modules go without their source (`os.pyc` in place of `os.py`), as Python's import system allows: an
// initramfs does not keep the times by which compiled modules are found to be fresh.

import { execFileSync } from 'node:child_process';
import { globSync, realpathSync } from 'node:fs';

/** Runs the scripts and prints of each imported module the file and, for a source, the compiled file. */
const LIST = `
import contextlib, io, os, runpy, sys
with contextlib.redirect_stdout(io.StringIO()):
    for script in sys.argv[1:]: runpy.run_path(script)
for module in list(sys.modules.values()):
    file, compiled = getattr(module, '__file__', None), getattr(module, '__cached__', None)
    if file and (compiled or not file.endswith('.py')): print(file, compiled or '', sep='\\t')
`;

/**
 * Files for a guest: path in the guest → path on this machine.
 * @param python the program itself, not a link to it
 * @param scripts folder of the scripts
 */
export function pythonFiles(python: string, scripts: string): Map<string, string> {
  const lines = run(python, '-S', '-c', LIST, ...globSync(`${scripts}/*.py`)).trim().split('\n');
  const files = new Map([[python, python]]);
  for (const line of lines) {
    const [file = '', compiled] = line.split('\t');
    if (compiled) files.set(file.replace(/\.py$/, '.pyc'), compiled);
    else files.set(file, file);
  }
  for (const binary of [...files.values()].filter((file) => file === python || file.endsWith('.so'))) {
    for (const library of librariesOf(binary)) files.set(library, realpathSync(library));
  }
  return files;
}

/** What the dynamic linker loads for it, by the names that it uses, and the linker. */
function librariesOf(binary: string): string[] {
  return [...run('ldd', binary).matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map((match) => match[1] as string);
}

function run(...words: readonly [string, ...string[]]): string {
  const [program, ...rest] = words;
  return execFileSync(program, rest, { encoding: 'utf8', env: { PATH: process.env['PATH'], PYTHONHASHSEED: '0' } });
}
