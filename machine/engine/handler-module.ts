// A module for functions that take part in the interpreter: it imports all that a handler may call.

import { ModuleBuilder } from '../wasm/module.ts';
import { HANDLER, HOST, RUNTIME } from './imports.ts';
import type { Calls } from './interp-env.ts';

export interface HandlerModule {
  readonly m: ModuleBuilder;
  readonly calls: Calls;
  /** index of the handlers' type */
  readonly type: number;
}

export function handlerModule(name: string): HandlerModule {
  const m = new ModuleBuilder(name, HANDLER);
  const calls: Partial<Record<keyof Calls, Calls[keyof Calls]>> = {};
  for (const [name, s] of [...Object.entries(RUNTIME), ...Object.entries(HOST)] as [keyof Calls, (typeof RUNTIME)['cf']][]) calls[name] = m.import(name, s.params, s.result);
  return { m, calls: calls as Calls, type: m.typeIndex(HANDLER.params, HANDLER.result) };
}
