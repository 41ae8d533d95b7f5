/**
 * Automatic layout: layers from left to right as the wires run. The layout library is loaded when it is first needed.
 *
 * Groups are drawn anew around what they held. Without `ids`, everything is laid out; else only these nodes, where they
 * are now. Reroute points of the wires between them go. Notes that would then lie under nodes move above everything.
 */
import { type Sizes, around } from "../canvas/geometry";
import type { Graph, Point } from "../types";
import { contents } from "./arrange";
import { place } from "./operations";

const BETWEEN_LAYERS = 90;
const BETWEEN_NODES = 36;
const MARGIN = 24;
const TITLE = 36;

export async function laidOut(graph: Graph, ids: readonly string[] | null, size: Sizes): Promise<Graph> {
  const { Graph: Net, layout } = await import("@dagrejs/dagre");
  const nodes = new Set(ids ?? Object.keys(graph.nodes));
  const start = around(graph, nodes, size);
  if (!start) return graph;
  const net = new Net({ multigraph: true }).setGraph({ rankdir: "LR", ranksep: BETWEEN_LAYERS, nodesep: BETWEEN_NODES });
  for (const id of nodes) net.setNode(id, { width: size(id)[0], height: size(id)[1] });
  for (const wire of graph.wires) if (nodes.has(wire.from) && nodes.has(wire.to)) net.setEdge(wire.from, wire.to, {}, wire.id);
  layout(net);
  const corners = new Map<string, Point>();
  for (const id of nodes) {
    const { x = 0, y = 0 } = net.node(id) as { x?: number; y?: number };
    corners.set(id, [x - size(id)[0] / 2, y - size(id)[1] / 2]);
  }
  const left = Math.min(...[...corners.values()].map(([x]) => x));
  const top = Math.min(...[...corners.values()].map(([, y]) => y));
  const [x, y] = ids ? start.at : [0, 0];
  for (const [id, at] of corners) corners.set(id, [at[0] - left + x, at[1] - top + y]);
  const held = Object.keys(graph.groups).map((id) => [id, contents(graph, id, size).filter((each) => each in graph.nodes)] as const);
  const placed = place(graph, corners);
  const groups = { ...placed.groups };
  for (const [id, inner] of held) {
    const box = inner.some((each) => nodes.has(each)) ? around(placed, inner, size) : null;
    if (!box) continue;
    const [bx, by] = box.at;
    const [width, height] = box.size;
    groups[id] = { ...groups[id]!, at: [bx - MARGIN, by - MARGIN - TITLE], size: [width + 2 * MARGIN, height + 2 * MARGIN + TITLE] };
  }
  const wires = placed.wires.map((wire) => (wire.via.length && nodes.has(wire.from) && nodes.has(wire.to) ? { ...wire, via: [] } : wire));
  return { ...placed, groups, wires, notes: ids ? placed.notes : clearNotes(placed, size) };
}

function clearNotes(graph: Graph, size: Sizes): Graph["notes"] {
  const top = around(graph, Object.keys(graph.nodes), size)!.at[1] - BETWEEN_LAYERS;
  const covered = Object.values(graph.notes).filter((note) => Object.values(graph.nodes).some(({ id, at }) =>
    note.at[0] < at[0] + size(id)[0] && at[0] < note.at[0] + note.size[0] && note.at[1] < at[1] + size(id)[1] && at[1] < note.at[1] + note.size[1]));
  let x = 0;
  const notes = { ...graph.notes };
  for (const note of covered) {
    notes[note.id] = { ...note, at: [x, Math.round(top - note.size[1])] };
    x += note.size[0] + BETWEEN_NODES;
  }
  return notes;
}
