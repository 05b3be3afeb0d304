// Puts functions together to a module (WebAssembly specification, 5.5). Memory is always imported and shared, with limits
// that fit every domain: the bytes of a module do not depend on the domain that runs it.

import { Bytes } from './bytes.ts';
import { Expr, TYPE_CODE, type Type } from './expr.ts';
import { Fn, type Callee, type Signature } from './fn.ts';

export class ModuleBuilder {
  private readonly types: Signature[] = [];
  private readonly imports: { name: string; type: number }[] = [];
  private readonly globals: Type[] = [];
  private readonly fns: { fn: Fn; type: number; callee: Callee; name: string | undefined }[] = [];
  private readonly slots: { slot: Expr; index: number }[] = [];
  private readonly table: Signature | undefined;
  private readonly name: string;

  /**
   * @param name for profilers and debuggers
   * @param table when given, env.table is imported: a table of references to functions of this signature. Typed, so
   *   that an indirect call needs no check of it.
   */
  constructor(name: string, table?: Signature) {
    this.name = name;
    this.table = table;
    if (table) this.typeIndex(table.params, table.result);
  }

  typeIndex(params: readonly Type[], result: Type | undefined): number {
    const found = this.types.findIndex((t) => t.result === result && t.params.length === params.length && t.params.every((p, i) => p === params[i]));
    return found >= 0 ? found : this.types.push({ params, result }) - 1;
  }
  /** Imports env.<name>. All imports come before the first function. */
  import(name: string, params: readonly Type[], result: Type | undefined): Callee {
    this.imports.push({ name, type: this.typeIndex(params, result) });
    return { params, result, index: this.imports.length - 1 };
  }
  /** Imports a number that differs from instance to instance and never changes: here.<how many were imported before>. */
  importNumber(type: 'i32' | 'i64'): Expr {
    const index = this.globals.push(type) - 1;
    return new Expr(type, (o) => { o.u8(0x23); o.u32(index); }, undefined, true);
  }
  /** Declares a function so that others can call it; its body may be written later. */
  fn(params: readonly Type[], result: Type | undefined, exportName?: string): { fn: Fn; callee: Callee } {
    const fn = new Fn(params, result);
    return { fn, callee: this.add(fn, exportName) };
  }
  /** Adds a function that has been written. */
  add(fn: Fn, exportName?: string): Callee {
    const { params, result } = fn.signature;
    const callee = { params, result, index: this.imports.length + this.fns.length };
    this.fns.push({ fn, type: this.typeIndex(params, result), callee, name: exportName });
    return callee;
  }
  /** Puts a function into a slot of env.table, a constant or an imported number, when the module is instantiated. */
  place(slot: Expr, callee: Callee): void { this.slots.push({ slot, index: callee.index }); }

  bytes(): Uint8Array {
    const out = new Bytes(4096);
    out.bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    section(out, 1, this.types, writeSignature);
    const externals: ((o: Bytes) => void)[] = this.imports.map(({ name, type }) => (o) => { o.name('env'); o.name(name); o.u8(0); o.u32(type); });
    externals.push((o) => { o.name('env'); o.name('memory'); o.u8(2); o.u8(3); o.u32(1); o.u32(65536); });
    if (this.table) externals.push((o) => { o.name('env'); o.name('table'); o.u8(1); o.bytes(TABLE_TYPE); o.u8(0); o.u32(0); });
    this.globals.forEach((type, i) => externals.push((o) => { o.name('here'); o.name(`${i}`); o.u8(3); o.u8(TYPE_CODE[type]); o.u8(0); }));
    section(out, 2, externals, (o, write) => write(o));
    section(out, 3, this.fns, (o, f) => o.u32(f.type));
    section(out, 7, this.fns.filter((f) => f.name !== undefined), (o, f) => { o.name(f.name as string); o.u8(0); o.u32(f.callee.index); });
    if (this.slots.length) {
      section(out, 9, this.slots, (o, s) => {
        o.u8(6); // active, in table 0, by expressions of a reference type
        o.u32(0);
        s.slot.emit(o); o.u8(0x0b);
        o.bytes(TABLE_TYPE);
        o.u32(1);
        o.u8(0xd2); o.u32(s.index); o.u8(0x0b);
      });
    }
    this.branchHints(out);
    section(out, 10, this.fns, (o, f) => { const body = f.fn.body(); o.u32(body.length); o.append(body); });
    this.nameSection(out);
    return out.take();
  }
  /** The custom section name, with the module's (WebAssembly specification, appendix 7.4). */
  private nameSection(out: Bytes): void {
    const name = new Bytes(64);
    name.name(this.name);
    const body = new Bytes(64);
    body.name('name');
    body.u8(0);
    body.u32(name.length);
    body.append(name);
    out.u8(0);
    out.u32(body.length);
    out.append(body);
  }
  /** The custom section metadata.code.branch_hint (WebAssembly branch hinting): offsets count from a body's locals. */
  private branchHints(out: Bytes): void {
    const hinted = this.fns.filter(({ fn }) => fn.hints.length > 0);
    if (hinted.length === 0) return;
    const body = new Bytes(1024);
    body.name('metadata.code.branch_hint');
    body.u32(hinted.length);
    for (const { fn, callee } of hinted) {
      const locals = fn.localsBytes().length;
      body.u32(callee.index);
      body.u32(fn.hints.length);
      for (const { at, likely } of fn.hints) {
        body.u32(locals + at);
        body.u8(1);
        body.u8(likely ? 1 : 0);
      }
    }
    out.u8(0);
    out.u32(body.length);
    out.append(body);
  }
}

/** (ref null 0): the table's signature is always the module's first type. */
const TABLE_TYPE = [0x63, 0];

/** A module that makes a table of `size` references to functions of a signature, and exports it as `table`. */
export function tableModule(signature: Signature, size: number): Uint8Array {
  const out = new Bytes();
  out.bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  section(out, 1, [signature], writeSignature);
  section(out, 4, [size], (o, n) => { o.bytes(TABLE_TYPE); o.u8(1); o.u32(n); o.u32(n); });
  section(out, 7, ['table'], (o, name) => { o.name(name); o.u8(1); o.u32(0); });
  return out.take();
}

function writeSignature(o: Bytes, t: Signature): void {
  o.u8(0x60);
  o.u32(t.params.length);
  for (const p of t.params) o.u8(TYPE_CODE[p]);
  if (t.result) { o.u8(1); o.u8(TYPE_CODE[t.result]); } else o.u8(0);
}

function section<T>(out: Bytes, id: number, items: readonly T[], write: (o: Bytes, item: T) => void): void {
  const body = new Bytes(1024);
  body.u32(items.length);
  for (const item of items) write(body, item);
  out.u8(id);
  out.u32(body.length);
  out.append(body);
}
