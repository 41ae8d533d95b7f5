/** A first place for nodes that have none: columns from left to right as the wires run. At once, without a layout library. */
import { type Sizes, WIDTH, around, layoutOf } from "../canvas/geometry";
import type { Catalog, Graph, Point } from "../types";

const ACROSS = WIDTH + 100;
const DOWN = 40;

/** Place the nodes `ids`, below everything that has a place already. */
export function columns(graph: Graph, ids: readonly string[], catalog: Catalog = { nodes: {}, values: {} }): Graph {
  const size: Sizes = (id) => layoutOf(graph, catalog, id, false)?.size ?? graph.groups[id]?.size ?? graph.notes[id]?.size ?? [0, 0];
  const moving = new Set(ids);
  const rest = [...Object.keys(graph.nodes), ...Object.keys(graph.groups), ...Object.keys(graph.notes)].filter((id) => !moving.has(id));
  const above = around(graph, rest, size);
  const start: Point = above ? [above.at[0], above.at[1] + above.size[1] + 2 * DOWN] : [0, 0];
  const depth = depths(graph, moving);
  const next: number[] = [];
  const nodes = { ...graph.nodes };
  for (const id of ids) {
    const column = depth.get(id) ?? 0;
    const y = next[column] ?? 0;
    nodes[id] = { ...nodes[id]!, at: [start[0] + column * ACROSS, start[1] + y] };
    next[column] = y + size(id)[1] + DOWN;
  }
  return { ...graph, nodes };
}

/** How many nodes of `ids` lie before each, along the longest way. A circle is cut where it was entered. */
function depths(graph: Graph, ids: ReadonlySet<string>): Map<string, number> {
  const before = new Map<string, string[]>();
  for (const { from, to } of graph.wires) {
    if (ids.has(from) && ids.has(to)) before.set(to, [...(before.get(to) ?? []), from]);
  }
  const found = new Map<string, number>();
  const open = new Set<string>();
  // With a stack of its own: a chain of ten thousand nodes is no reason to overflow the browser's.
  for (const id of ids) {
    const stack = [id];
    while (stack.length) {
      const top = stack.at(-1)!;
      const missing = found.has(top) ? [] : (before.get(top) ?? []).filter((each) => !found.has(each) && !open.has(each));
      if (!found.has(top) && missing.length && !open.has(top)) {
        open.add(top);
        stack.push(...missing);
        continue;
      }
      stack.pop();
      open.delete(top);
      if (!found.has(top)) found.set(top, Math.max(-1, ...(before.get(top) ?? []).map((each) => found.get(each) ?? -1)) + 1);
    }
  }
  return found;
}
