// Regions on their way to another thread, as words (region-words.ts), and back as modules.

import { Wasm, type WasmModule } from '#base/webassembly.ts';
import { RegionModule } from './compiler.ts';
import { importsOf } from './region-words.ts';

export interface RegionJob {
  readonly id: number;
  readonly regions: readonly Int32Array[];
}
/** A module with the functions of regions. */
export interface RegionsModule {
  readonly module: WasmModule;
  /** what each of its functions imports, beside its slot */
  readonly functions: readonly { readonly blocks: number; readonly pages: number }[];
  /** bytes of the module */
  readonly size: number;
}
/** The same, with the region of the job that each function is; undefined where it is none. */
export interface CompiledModule extends RegionsModule { readonly regions: readonly (number | undefined)[] }
export interface CompiledRegions {
  readonly id: number;
  /** a region that could not be compiled is in none of them */
  readonly modules: readonly CompiledModule[];
}
/** Compiles regions of one machine while its guest goes on. */
export interface RegionCompiler {
  /** false once the other thread has failed: nothing more will come from it */
  readonly alive: boolean;
  compile(job: RegionJob): void;
  /** Regions that are ready. Costs little when there are none. */
  take(): CompiledRegions | undefined;
  /** The machine is gone. */
  close(): void;
}

/**
 * Makes one module of regions: their code lies closer together then, and a processor's caches for instructions hold more of it.
 * @param failed is told of an error of ours; the region stays interpreted
 */
export function compileRegions(regions: readonly Int32Array[], failed: (error: unknown) => void): CompiledModule {
  const module = new RegionModule();
  const made = regions.map((words, i) => {
    try {
      module.add(words);
      return i;
    } catch (error) {
      failed(error);
      return undefined;
    }
  });
  const bytes = module.bytes();
  return { module: new Wasm.Module(bytes), functions: regions.map(importsOf), size: bytes.length, regions: made };
}
/** The other thread's part, if it remembers nothing. */
export const compileJob = ({ id, regions }: RegionJob): CompiledRegions => ({ id, modules: [compileRegions(regions, rethrow)] });
export function rethrow(error: unknown): never { throw error; }
