// Types of what TypeScript uses from node.mjs.
export const LEAN: readonly string[];
