// A request that the store refuses, by the name that goes over the wire.

import type { XsError } from '#abi/io/xs-wire.ts';

export class StoreError extends Error {
  readonly code: XsError;
  constructor(code: XsError) {
    super(code);
    this.name = 'StoreError';
    this.code = code;
  }
}
