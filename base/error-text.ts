// What was thrown, as text: anything can be.

/** What it says, for who can do something about it. */
export function messageOf(error: unknown): string { return error instanceof Error ? error.message : String(error); }

/** That and where in our code it was: for faults of ours. */
export function stackOf(error: unknown): string { return error instanceof Error ? (error.stack ?? error.message) : String(error); }
