// Puts functions together to a module (WebAssembly specification, 5.5). Memory is always imported and shared.

import { Bytes } from './bytes.ts';
import { TYPE_CODE, type Type } from './expr.ts';
import { Fn, type Callee, type Signature } from './fn.ts';

export class ModuleBuilder {
  private readonly types: Signature[] = [];
  private readonly imports: { name: string; type: number }[] = [];
  private readonly fns: { fn: Fn; type: number; callee: Callee; name: string | undefined }[] = [];
  private readonly slots: { slot: number; index: number }[] = [];
  private readonly memoryPages: number;
  private readonly table: boolean;

  /** @param memoryPages size of the shared memory, in 64 KiB pages; @param table whether env.table is imported */
  constructor(memoryPages: number, table: boolean) { this.memoryPages = memoryPages; this.table = table; }

  typeIndex(params: readonly Type[], result: Type | undefined): number {
    const found = this.types.findIndex((t) => t.result === result && t.params.length === params.length && t.params.every((p, i) => p === params[i]));
    return found >= 0 ? found : this.types.push({ params, result }) - 1;
  }
  /** Imports env.<name>. All imports come before the first function. */
  import(name: string, params: readonly Type[], result: Type | undefined): Callee {
    this.imports.push({ name, type: this.typeIndex(params, result) });
    return { params, result, index: this.imports.length - 1 };
  }
  /** Declares a function so that others can call it; its body may be written later. */
  fn(params: readonly Type[], result: Type | undefined, exportName?: string): { fn: Fn; callee: Callee } {
    const callee = { params, result, index: this.imports.length + this.fns.length };
    const entry = { fn: new Fn(params, result), type: this.typeIndex(params, result), callee, name: exportName };
    this.fns.push(entry);
    return entry;
  }
  /** Puts a function into a slot of env.table when the module is instantiated. */
  place(slot: number, callee: Callee): void { this.slots.push({ slot, index: callee.index }); }

  bytes(): Uint8Array {
    const out = new Bytes(4096);
    out.bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    section(out, 1, this.types, (o, t) => {
      o.u8(0x60);
      o.u32(t.params.length);
      for (const p of t.params) o.u8(TYPE_CODE[p]);
      if (t.result) { o.u8(1); o.u8(TYPE_CODE[t.result]); } else o.u8(0);
    });
    const externals: ((o: Bytes) => void)[] = this.imports.map(({ name, type }) => (o) => { o.name('env'); o.name(name); o.u8(0); o.u32(type); });
    externals.push((o) => { o.name('env'); o.name('memory'); o.u8(2); o.u8(3); o.u32(this.memoryPages); o.u32(this.memoryPages); });
    if (this.table) externals.push((o) => { o.name('env'); o.name('table'); o.u8(1); o.u8(0x70); o.u8(0); o.u32(0); });
    section(out, 2, externals, (o, write) => write(o));
    section(out, 3, this.fns, (o, f) => o.u32(f.type));
    section(out, 7, this.fns.filter((f) => f.name !== undefined), (o, f) => { o.name(f.name as string); o.u8(0); o.u32(f.callee.index); });
    if (this.slots.length) section(out, 9, this.slots, (o, s) => { o.u8(0); o.u8(0x41); o.s32(s.slot); o.u8(0x0b); o.u32(1); o.u32(s.index); });
    section(out, 10, this.fns, (o, f) => { const body = f.fn.body(); o.u32(body.length); o.append(body); });
    return out.take();
  }
}

function section<T>(out: Bytes, id: number, items: readonly T[], write: (o: Bytes, item: T) => void): void {
  const body = new Bytes(1024);
  body.u32(items.length);
  for (const item of items) write(body, item);
  out.u8(id);
  out.u32(body.length);
  out.append(body);
}
