// The WebAssembly JavaScript interface, as far as we use it: every runtime has it, no type library of a
// single runtime has to be let into the pure layers for it.

export interface WasmMemory { readonly buffer: SharedArrayBuffer }
export interface WasmTable { readonly length: number; get(i: number): unknown; set(i: number, f: unknown): void; grow(n: number): number }
export interface WasmModule { readonly opaque?: never }
export interface WasmInstance { readonly exports: Record<string, unknown> }
interface WasmApi {
  Memory: new (d: { initial: number; maximum: number; shared: true }) => WasmMemory;
  Table: new (d: { initial: number; maximum?: number; element: 'anyfunc' }) => WasmTable;
  Module: new (bytes: Uint8Array) => WasmModule;
  Instance: new (module: WasmModule, imports?: Record<string, object>) => WasmInstance;
}
export const Wasm: WasmApi = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
