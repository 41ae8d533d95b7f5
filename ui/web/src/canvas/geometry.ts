/**
 * How large a node is and where its sockets are, from its type and state alone: nothing is ever measured.
 *
 *     header      HEADER px
 *     rows        ROW px each: inputs on the left, outputs on the right, side by side
 *     widgets     the foremost settings, or all (`expanded`); heights from widgets/heights.ts
 *     toggle      "3 more settings", where some are hidden or all are shown on demand
 *     media       MEDIA_HEIGHT where the run has something to show
 *
 * A collapsed node is its header; its sockets lie on top of each other in the header's middle. All in graph units
 * (pixels at zoom 1), relative to the node's corner.
 */
import { MEDIA_HEIGHT } from "../runs/media";
import type { Catalog, Field, Graph, GraphNode, Input, Json, NodeType, Output, Point } from "../types";
import { HEIGHTS } from "../widgets/heights";

export const WIDTH = 280;
export const HEADER = 38;
export const ROW = 24;
export const PAD = 8;
export const TOGGLE = 28;
/** The settings of a node whose type is not installed, and the line that says so. */
export const RAW_HEIGHT = 92;
export const FOREMOST = 4;

/** A socket as it is drawn. `gone`: the type has no such socket (any more), but a wire in the graph goes there. */
export interface InSocket extends Input { y: number; gone: boolean }
export interface OutSocket extends Output { y: number; gone: boolean }

export interface Layout {
  type: NodeType | undefined;
  size: Point;
  inputs: InSocket[];
  outputs: OutSocket[];
  /** The settings that are shown, and how many more there are. */
  fields: Field[];
  hidden: number;
  /** Whether there is a line to show or hide the rest. */
  toggle: boolean;
  media: boolean;
}

/** Names of sockets that wires use, by node. */
export interface Used { inputs: string[]; outputs: string[] }

const NOTHING: Used = { inputs: [], outputs: [] };

export interface Box { at: Point; size: Point }

/** The settings that are shown when not all are: what must be filled in, what has been written, else the first few that are for all. */
export function foremost(type: NodeType, node: GraphNode): Field[] {
  const chosen = new Set(type.fields.filter((field) => field.required || field.name in node.settings));
  for (const field of type.fields) {
    if (chosen.size >= FOREMOST) break;
    if (!field.advanced) chosen.add(field);
  }
  // A single line more costs no more room than the button that would hide it.
  if (type.fields.length - chosen.size === 1) return type.fields;
  return type.fields.filter((field) => chosen.has(field));
}

export function layOut(type: NodeType | undefined, node: GraphNode, used: Used, media: boolean): Layout {
  const inputs = sockets<Input>(type?.inputs ?? [], used.inputs, (name) => ({ name, type: "", required: false, many: false }), type);
  const outputs = sockets<Output>(type?.outputs ?? [], used.outputs, (name) => ({ name, type: "" }), type);
  const first = type ? foremost(type, node) : [];
  const fields = type && node.expanded ? type.fields : first;
  const toggle = first.length < (type?.fields.length ?? 0);
  if (node.collapsed) {
    for (const socket of [...inputs, ...outputs]) socket.y = HEADER / 2;
    return { type, size: [WIDTH, HEADER], inputs, outputs, fields: [], hidden: 0, toggle: false, media: false };
  }
  let height = HEADER + Math.max(inputs.length, outputs.length) * ROW + PAD;
  for (const field of fields) height += HEIGHTS[field.kind];
  if (toggle) height += TOGGLE;
  if (!type) height += RAW_HEIGHT;
  if (media) height += MEDIA_HEIGHT;
  if (fields.length || !type || media) height += PAD;
  return { type, size: [WIDTH, height], inputs, outputs, fields, hidden: (type?.fields.length ?? 0) - fields.length, toggle, media };
}

function sockets<T extends { name: string }>(
  known: T[], used: string[], make: (name: string) => T, type: NodeType | undefined,
): (T & { y: number; gone: boolean })[] {
  const lost = used.filter((name) => !known.some((socket) => socket.name === name));
  const all = [...known.map((socket) => ({ ...socket, gone: false })), ...lost.map((name) => ({ ...make(name), gone: type !== undefined }))];
  return all.map((socket, row) => ({ ...socket, y: HEADER + row * ROW + ROW / 2 }));
}

// ---- kept layouts: a node is laid out again only when something it depends on has changed --------------------------

interface Kept { type: NodeType | undefined; used: Used; media: boolean; layout: Layout }

const kept = new WeakMap<GraphNode, Kept>();
let lastUsed: { wires: Graph["wires"]; nodes: Graph["nodes"]; catalog: Catalog; used: Map<string, Used> } | null = null;

/** The sockets that wires use but that the types don't have, by node; the same object for the same wires. */
function usedSockets(graph: Graph, catalog: Catalog): Map<string, Used> {
  if (lastUsed?.wires === graph.wires && lastUsed.nodes === graph.nodes && lastUsed.catalog === catalog) return lastUsed.used;
  const found = new Map<string, { inputs: Set<string>; outputs: Set<string> }>();
  const note = (node: string, side: "inputs" | "outputs", name: string): void => {
    const spec = graph.nodes[node];
    if (!spec || catalog.nodes[spec.type]?.[side].some((socket) => socket.name === name)) return;
    let mine = found.get(node);
    if (!mine) found.set(node, (mine = { inputs: new Set(), outputs: new Set() }));
    mine[side].add(name);
  };
  for (const wire of graph.wires) {
    note(wire.from, "outputs", wire.output);
    note(wire.to, "inputs", wire.input);
  }
  const used = new Map<string, Used>();
  for (const [id, { inputs, outputs }] of found) {
    const next = { inputs: [...inputs], outputs: [...outputs] };
    const before = lastUsed?.used.get(id);
    used.set(id, before && String(before.inputs) === String(next.inputs) && String(before.outputs) === String(next.outputs) ? before : next);
  }
  lastUsed = { wires: graph.wires, nodes: graph.nodes, catalog, used };
  return used;
}

/** The layout of one node of a graph. */
export function layoutOf(graph: Graph, catalog: Catalog, id: string, media: boolean): Layout | null {
  const node = graph.nodes[id];
  if (!node) return null;
  const type = catalog.nodes[node.type];
  const used = usedSockets(graph, catalog).get(id) ?? NOTHING;
  const known = kept.get(node);
  if (known && known.type === type && known.used === used && known.media === media) return known.layout;
  const layout = layOut(type, node, used, media);
  kept.set(node, { type, used, media, layout });
  return layout;
}

export type Sizes = (id: string) => Point;

/** The size of anything that can be selected: a node, a group or a note. */
export function sizes(graph: Graph, catalog: Catalog, media: ReadonlySet<string>): Sizes {
  return (id) => graph.groups[id]?.size ?? graph.notes[id]?.size ?? layoutOf(graph, catalog, id, media.has(id))?.size ?? [0, 0];
}

export function placeOf(graph: Graph, id: string): Point | undefined {
  return (graph.nodes[id] ?? graph.groups[id] ?? graph.notes[id])?.at;
}

/** The rectangle around these things; null without any. */
export function around(graph: Graph, ids: Iterable<string>, size: Sizes): Box | null {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const id of ids) {
    const at = placeOf(graph, id);
    if (!at) continue;
    const [width, height] = size(id);
    left = Math.min(left, at[0]);
    top = Math.min(top, at[1]);
    right = Math.max(right, at[0] + width);
    bottom = Math.max(bottom, at[1] + height);
  }
  return left === Infinity ? null : { at: [left, top], size: [right - left, bottom - top] };
}

/** What a setting is: what is written, else its default. */
export function valueOf(node: GraphNode, field: Field): Json {
  return node.settings[field.name] ?? field.default;
}
