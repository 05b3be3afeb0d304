// The module of the shared routines (runtime.ts), kept for machines of the same size: most domains have the size of another.

import { Wasm, type WasmModule } from '#base/webassembly.ts';
import { buildRuntime, type FrameGeometry } from './runtime.ts';
import type { SystemCallPaths } from './system-call.ts';

/** How many are kept, those that were used last. */
const KEPT = 8;
interface Made { readonly geometry: string; readonly paths: SystemCallPaths | undefined; readonly module: WasmModule }
let made: readonly Made[] = [];

export function runtimeModule(geometry: FrameGeometry, paths: SystemCallPaths | undefined): WasmModule {
  const key = JSON.stringify(geometry);
  const found = made.find((m) => m.geometry === key && m.paths === paths) ?? { geometry: key, paths, module: new Wasm.Module(buildRuntime(geometry, paths)) };
  made = [found, ...made.filter((m) => m !== found)].slice(0, KEPT);
  return found.module;
}
