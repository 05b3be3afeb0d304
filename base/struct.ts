// C layouts as typed views over shared memory: field name → offset, width. Declared once, checked at load
// against the size that a C compiler reports, so that a mistake fails before any guest runs.

export type Scalar = 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'f64';
type AnyStruct = Struct<Fields>;
export type Field = Scalar | AnyStruct | readonly [Scalar | AnyStruct, number];
export type Fields = { readonly [name: string]: Field };
type Value<F extends Field> = F extends 'u64' ? bigint : F extends Scalar ? number : never;

/** A cursor over records: one object, re-pointed with `at(base)`, so hot paths allocate nothing. */
export type View<F extends Fields> = { -readonly [K in keyof F as F[K] extends Scalar ? K : never]: Value<F[K]> } & {
  at(base: number): View<F>;
  readonly base: number;
};

export interface Struct<F extends Fields> {
  readonly name: string;
  /** sizeof, in bytes */
  readonly size: number;
  readonly align: number;
  /** offsetof each field, in bytes */
  readonly offset: { readonly [K in keyof F]: number };
  on(buffer: ArrayBufferLike): View<F>;
}

const SIZE = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, f64: 8 } as const;

class Cursor {
  view: DataView;
  base = 0;
  constructor(buffer: ArrayBufferLike) { this.view = new DataView(buffer); }
  at(base: number): this { this.base = base; return this; }
}

const accessor: Record<Scalar, (o: number) => PropertyDescriptor & ThisType<Cursor>> = {
  u8: (o) => ({ get() { return this.view.getUint8(this.base + o); }, set(v: number) { this.view.setUint8(this.base + o, v); } }),
  u16: (o) => ({ get() { return this.view.getUint16(this.base + o, true); }, set(v: number) { this.view.setUint16(this.base + o, v, true); } }),
  u32: (o) => ({ get() { return this.view.getUint32(this.base + o, true); }, set(v: number) { this.view.setUint32(this.base + o, v, true); } }),
  i32: (o) => ({ get() { return this.view.getInt32(this.base + o, true); }, set(v: number) { this.view.setInt32(this.base + o, v, true); } }),
  u64: (o) => ({ get() { return this.view.getBigUint64(this.base + o, true); }, set(v: bigint) { this.view.setBigUint64(this.base + o, v, true); } }),
  f64: (o) => ({ get() { return this.view.getFloat64(this.base + o, true); }, set(v: number) { this.view.setFloat64(this.base + o, v, true); } }),
};

/**
 * Declares a C structure. Fields are laid out by the System V x86-64 rules.
 * @param expectedSize sizeof as the C compiler reports it; a different layout throws when the module loads
 */
export function struct<const F extends Fields>(name: string, expectedSize: number, fields: F): Struct<F> {
  class Layout extends Cursor {}
  const offset: Record<string, number> = {};
  let at = 0;
  let align = 1;
  for (const [key, field] of Object.entries(fields) as [string, Field][]) {
    const [type, count] = Array.isArray(field) ? (field as readonly [Scalar | AnyStruct, number]) : ([field, 1] as [Scalar | AnyStruct, number]);
    const unit = typeof type === 'string' ? SIZE[type] : type.size;
    const unitAlign = typeof type === 'string' ? SIZE[type] : type.align;
    at = Math.ceil(at / unitAlign) * unitAlign;
    align = Math.max(align, unitAlign);
    offset[key] = at;
    if (typeof field === 'string') Object.defineProperty(Layout.prototype, key, accessor[field as Scalar](at));
    at += unit * count;
  }
  const size = Math.ceil(at / align) * align;
  if (size !== expectedSize) throw new Error(`struct ${name}: laid out as ${size} bytes, the ABI says ${expectedSize}`);
  return { name, size, align, offset: offset as Struct<F>['offset'], on: (buffer) => new Layout(buffer) as unknown as View<F> };
}
