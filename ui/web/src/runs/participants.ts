/** Who takes part in a run: a document's nodes, or those that lead to the wanted ones. Pure. */
import { after } from "../graph/fits";
import { sourceOf } from "../graph/names";
import type { Graph, WorkflowDocument } from "../types";

/** The nodes of `document` that a run of `wanted` (null: all) works on; muted ones do not. */
export function participants(document: WorkflowDocument, wanted: readonly string[] | null): string[] {
  const { nodes } = document;
  const asked = new Set<string>();
  const open = (wanted ?? Object.keys(nodes)).filter((id) => nodes[id] && nodes[id].mode !== "mute");
  while (open.length) {
    const id = open.pop()!;
    if (asked.has(id)) continue;
    asked.add(id);
    for (const wires of Object.values(nodes[id]!.inputs ?? {})) {
      for (const wire of Array.isArray(wires) ? wires : [wires]) {
        const { from } = sourceOf(wire);
        if (nodes[from] && nodes[from].mode !== "mute") open.push(from);
      }
    }
  }
  return Object.keys(nodes).filter((id) => asked.has(id));
}

/** The given nodes and all that follow them, but the muted: what "run from here" asks for. */
export function downstream(graph: Graph, from: Iterable<string>): string[] {
  const seen = after(graph, from);
  return Object.keys(graph.nodes).filter((id) => seen.has(id) && graph.nodes[id]!.mode !== "mute");
}
