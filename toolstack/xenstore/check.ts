// The invariants of the store, checked over all of it: for tests, the fuzzer, and `xenstore-control check`.

import { namesFrom } from './children.ts';
import { nodeMemory } from './node-table.ts';
import { childPath, isSpecial, parentPath } from './path.ts';
import type { Store } from './store.ts';

/** What is wrong, as lines to read. */
export function checkStore({ nodes }: Store): readonly string[] {
  const problems: string[] = [];
  const owned = new Map<number, { nodes: number; memory: number }>();
  const reachable = new Set<string>();
  const mentioning = new Map<number, Set<string>>();
  const known = (domid: number): Set<string> => mentioning.get(domid) ?? mentioning.set(domid, new Set(nodes.mentioning(domid))).get(domid)!;
  for (const [path, node] of nodes) {
    const { domid } = node.perms[0];
    const counts = owned.get(domid) ?? { nodes: 0, memory: 0 };
    owned.set(domid, { nodes: counts.nodes + 1, memory: counts.memory + nodeMemory(path, node) });
    for (const leaf of namesFrom(node.children)) {
      const child = childPath(path, leaf);
      if (reachable.has(child)) problems.push(`${child} is there twice`);
      if (!nodes.get(child)) problems.push(`${child} is listed, but not there`);
      reachable.add(child);
    }
    for (const p of node.perms) if (p.domid !== 0 && !known(p.domid).has(path)) problems.push(`${path} is not known to name domain ${p.domid}`);
  }
  for (const [path] of nodes) {
    if (path !== '/' && !isSpecial(path) && !reachable.has(path)) problems.push(`${path} is not listed by ${parentPath(path)}`);
  }
  for (const [domid, usage] of nodes.usage) {
    const { nodes: count, memory } = owned.get(domid) ?? { nodes: 0, memory: 0 };
    if (usage.nodes !== count) problems.push(`domain ${domid} owns ${count} nodes, ${usage.nodes} are counted`);
    if (usage.memory < memory) problems.push(`domain ${domid} owns ${memory} bytes, ${usage.memory} are counted`);
    if (usage.transactions === 0 && usage.watches === 0 && usage.memory !== memory) problems.push(`domain ${domid} has ${usage.memory - memory} bytes of nothing`);
  }
  return problems;
}
