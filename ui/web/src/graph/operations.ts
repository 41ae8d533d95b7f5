/**
 * What can be done to a graph, as pure functions from graph to graph. What changes nothing returns the graph itself.
 *
 *     edit("connect", (graph) => connect(graph, { from: "base", output: "base", to: "draw", input: "base" }, false));
 *
 * Ids name nodes, wires, groups and notes alike (see names.ts). Arranging is in arrange.ts, pasting in clipboard.ts.
 */
import type { Catalog, Graph, GraphNode, Json, Mode, NodeType, Point, Wire } from "../types";
import { type Ends, fits, inputOf, outputOf } from "./fits";
import { NODE_ID, freeName, isReserved, makeWire, nameFor, wireId } from "./names";

type Ids = Iterable<string>;

// ---- nodes --------------------------------------------------------------------------------------------------------

/** A new node of this type; its name is the type's in small letters, numbered where it is taken. */
export function add(graph: Graph, type: Pick<NodeType, "type" | "version">, at: Point, id = newName(graph, type.type)): Graph {
  const node: GraphNode = {
    id, type: type.type, version: type.version, settings: {}, mode: "", at, collapsed: false, expanded: false, randomise: [], extra: {},
  };
  return { ...graph, nodes: { ...graph.nodes, [id]: node } };
}

/** The name that `add` gives. */
export function newName(graph: Graph, type: string): string {
  return freeName(nameFor(type), new Set(Object.keys(graph.nodes)));
}

/** Take away nodes, wires, groups and notes; wires of a node that goes, go too. What lies in a group stays. */
export function remove(graph: Graph, ids: Ids): Graph {
  const gone = new Set(ids);
  const wires = graph.wires.filter((wire) => !gone.has(wire.id) && !gone.has(wire.from) && !gone.has(wire.to));
  const nodes = without(graph.nodes, gone);
  const groups = without(graph.groups, gone);
  const notes = without(graph.notes, gone);
  const same = wires.length === graph.wires.length && nodes === graph.nodes && groups === graph.groups && notes === graph.notes;
  return same ? graph : { ...graph, nodes, wires: wires.length === graph.wires.length ? graph.wires : wires, groups, notes };
}

/** Like `remove`, but what a node was fed goes on to whom it fed, where the types fit. */
export function removeBridging(graph: Graph, catalog: Catalog, ids: Ids): Graph {
  const gone = [...ids];
  let next = graph;
  for (const id of gone) {
    if (!next.nodes[id]) continue;
    const feeding = next.wires.filter((wire) => wire.to === id);
    for (const wire of next.wires.filter((each) => each.from === id)) {
      const type = outputOf(next, catalog, id, wire.output)?.type ?? "";
      const target = inputOf(next, catalog, wire.to, wire.input);
      const source = feeding.find((each) => {
        const fed = outputOf(next, catalog, each.from, each.output)?.type ?? "";
        return fed !== "" && fed === type && fits(fed, target?.type ?? "", catalog);
      });
      if (source) next = connect(next, { from: source.from, output: source.output, to: wire.to, input: wire.input }, target?.many ?? false, wire.id);
    }
    next = remove(next, [id]);
  }
  return remove(next, gone);
}

/** Give a node another name; wires follow. The graph itself where the name can't be had (see `nameTrouble`). */
export function rename(graph: Graph, id: string, name: string): Graph {
  if (name === id || !graph.nodes[id] || nameTrouble(graph, id, name)) return graph;
  const nodes = Object.fromEntries(Object.entries(graph.nodes).map(([each, node]) => (each === id ? [name, { ...node, id: name }] : [each, node])));
  const taken = new Set<string>();
  const wires = graph.wires.map((wire) => {
    const renamed = wire.from === id || wire.to === id
      ? makeWire({ ...wire, from: wire.from === id ? name : wire.from, to: wire.to === id ? name : wire.to }, taken) : wire;
    taken.add(renamed.id);
    return renamed;
  });
  return { ...graph, nodes, wires };
}

/** Why a node can't have this name; null where it can. */
export function nameTrouble(graph: Graph, id: string, name: string): string | null {
  if (isReserved(name)) return `A node can't be called "${name}".`;
  if (name !== id && name in graph.nodes) return `There is a node "${name}" already.`;
  return NODE_ID.test(name) ? null : "A name is made of letters, digits, _ and - (not first), and is at most 100 long.";
}

export function setSetting(graph: Graph, id: string, name: string, value: Json, standard?: Json): Graph {
  const node = graph.nodes[id];
  if (!node) return graph;
  // What was never written and still is the default stays unwritten: the file says only what somebody chose.
  if (name in node.settings ? same(node.settings[name], value) : standard !== undefined && same(standard, value)) return graph;
  return put(graph, { ...node, settings: { ...node.settings, [name]: value } });
}

/** Back to the default. */
export function unsetSetting(graph: Graph, id: string, name: string): Graph {
  const node = graph.nodes[id];
  if (!node || !(name in node.settings)) return graph;
  return put(graph, { ...node, settings: without(node.settings, new Set([name])) });
}

export function setRandomise(graph: Graph, id: string, name: string, on: boolean): Graph {
  const node = graph.nodes[id];
  if (!node || node.randomise.includes(name) === on) return graph;
  return put(graph, { ...node, randomise: on ? [...node.randomise, name] : node.randomise.filter((each) => each !== name) });
}

export function setMode(graph: Graph, ids: Ids, mode: Mode): Graph {
  return change(graph, ids, (node) => (node.mode === mode ? node : { ...node, mode }));
}

/** Turn a mode on for all, or off where all have it. */
export function toggleMode(graph: Graph, ids: Ids, mode: Exclude<Mode, "">): Graph {
  const nodes = [...ids].filter((id) => id in graph.nodes);
  return setMode(graph, nodes, nodes.every((id) => graph.nodes[id]!.mode === mode) ? "" : mode);
}

export function collapse(graph: Graph, ids: Ids, collapsed: boolean): Graph {
  return change(graph, ids, (node) => (node.collapsed === collapsed ? node : { ...node, collapsed }));
}

/** Show all settings, or only the foremost. */
export function expand(graph: Graph, ids: Ids, expanded: boolean): Graph {
  return change(graph, ids, (node) => (node.expanded === expanded ? node : { ...node, expanded }));
}

// ---- wires --------------------------------------------------------------------------------------------------------

/**
 * Draw a wire. An input that takes one wire loses the one it had; `many` says that it takes several. `instead` is the
 * id of a wire that this one takes the place of (also its place in the order of an input that takes several).
 */
export function connect(graph: Graph, ends: Ends, many: boolean, instead?: string): Graph {
  const id = wireId(ends);
  if (id === instead) return graph;
  const exists = graph.wires.some((wire) => wire.id === id);
  const old = graph.wires.find((wire) => wire.id === instead);
  if (exists) return old && many ? remove(graph, [old.id]) : graph;
  const wire: Wire = { id, ...ends, via: old && old.from === ends.from && old.to === ends.to ? old.via : [] };
  const wires = graph.wires
    .filter((each) => each === old || many || each.to !== ends.to || each.input !== ends.input)
    .map((each) => (each === old ? wire : each));
  return { ...graph, wires: old ? wires : [...wires, wire] };
}

export function disconnect(graph: Graph, ids: Ids): Graph {
  const gone = new Set(ids);
  const wires = graph.wires.filter((wire) => !gone.has(wire.id));
  return wires.length === graph.wires.length ? graph : { ...graph, wires };
}

/** Put a reroute point into a wire, before the one that is now at `index`. */
export function addVia(graph: Graph, id: string, index: number, at: Point): Graph {
  return changeWire(graph, id, (via) => via.toSpliced(index, 0, whole(at)));
}

export function moveVia(graph: Graph, id: string, index: number, at: Point): Graph {
  return changeWire(graph, id, (via) => (via[index] ? via.with(index, whole(at)) : via));
}

export function removeVia(graph: Graph, id: string, index: number): Graph {
  return changeWire(graph, id, (via) => (via[index] ? via.toSpliced(index, 1) : via));
}

function changeWire(graph: Graph, id: string, move: (via: Point[]) => Point[]): Graph {
  let changed = false;
  const wires = graph.wires.map((wire) => {
    if (wire.id !== id) return wire;
    const via = move(wire.via);
    if (via === wire.via) return wire;
    changed = true;
    return { ...wire, via };
  });
  return changed ? { ...graph, wires } : graph;
}

// ---- places -------------------------------------------------------------------------------------------------------

/** Put nodes, groups and notes elsewhere; wires between nodes that move alike take their reroute points along. */
export function place(graph: Graph, places: ReadonlyMap<string, Point>): Graph {
  const shift = new Map<string, Point>();
  const moved = <T extends { id: string; at: Point }>(items: Record<string, T>): Record<string, T> => {
    let next = items;
    for (const [id, to] of places) {
      const item = items[id];
      if (!item) continue;
      const at = whole(to);
      if (at[0] === item.at[0] && at[1] === item.at[1]) continue;
      if (next === items) next = { ...items };
      next[id] = { ...item, at };
      shift.set(id, [at[0] - item.at[0], at[1] - item.at[1]]);
    }
    return next;
  };
  const nodes = moved(graph.nodes);
  const groups = moved(graph.groups);
  const notes = moved(graph.notes);
  if (!shift.size) return graph;
  let wires = graph.wires;
  for (const [index, wire] of graph.wires.entries()) {
    const by = wire.via.length ? shift.get(wire.from) : undefined;
    const other = shift.get(wire.to);
    if (!by || !other || by[0] !== other[0] || by[1] !== other[1]) continue;
    if (wires === graph.wires) wires = [...wires];
    wires[index] = { ...wire, via: wire.via.map(([x, y]) => [x + by[0], y + by[1]]) };
  }
  return { ...graph, nodes, groups, notes, wires };
}

export function move(graph: Graph, ids: Ids, [dx, dy]: Point): Graph {
  const places = new Map<string, Point>();
  for (const id of ids) {
    const at = (graph.nodes[id] ?? graph.groups[id] ?? graph.notes[id])?.at;
    if (at) places.set(id, [at[0] + dx, at[1] + dy]);
  }
  return place(graph, places);
}

// ---- helpers ------------------------------------------------------------------------------------------------------

function change(graph: Graph, ids: Ids, change: (node: GraphNode) => GraphNode): Graph {
  let nodes = graph.nodes;
  for (const id of ids) {
    const node = graph.nodes[id];
    const next = node && change(node);
    if (!next || next === node) continue;
    if (nodes === graph.nodes) nodes = { ...nodes };
    nodes[id] = next;
  }
  return nodes === graph.nodes ? graph : { ...graph, nodes };
}

function put(graph: Graph, node: GraphNode): Graph {
  return { ...graph, nodes: { ...graph.nodes, [node.id]: node } };
}

function without<T>(items: Record<string, T>, gone: ReadonlySet<string>): Record<string, T> {
  const kept = Object.entries(items).filter(([id]) => !gone.has(id));
  return kept.length === Object.keys(items).length ? items : Object.fromEntries(kept);
}

function whole([x, y]: Point): Point {
  return [Math.round(x), Math.round(y)];
}

/** Whether two values are written alike. */
export function same(one: Json | undefined, other: Json | undefined): boolean {
  return one === other || (typeof one === "object" && JSON.stringify(one) === JSON.stringify(other));
}
