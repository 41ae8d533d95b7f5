/** Groups, notes, aligning and distributing: pure functions from graph to graph, as in operations.ts. */
import { type Box, type Sizes, around, placeOf } from "../canvas/geometry";
import type { Graph, Group, Note, Point } from "../types";
import { freeMark } from "./names";
import { place } from "./operations";

export type Way = "left" | "centre" | "right" | "top" | "middle" | "bottom";

export const COLOURS = ["#5b7fd6", "#3f9d6b", "#c9a227", "#c8643f", "#a45bc0", "#7a8bb0"];
const MARGIN = 24;
const TITLE = 36;
const NOTE_SIZE: Point = [240, 130];

// ---- groups and notes ---------------------------------------------------------------------------------------------

/** A titled rectangle around these nodes and notes (without any: an empty one at `at`). */
export function group(graph: Graph, ids: Iterable<string>, size: Sizes, at: Point = [0, 0]): Graph {
  const box = around(graph, ids, size) ?? { at, size: [320, 220] as Point };
  const id = freeMark("#g", graph.groups);
  const next: Group = {
    id, title: "Group", colour: COLOURS[Object.keys(graph.groups).length % COLOURS.length]!,
    at: [box.at[0] - MARGIN, box.at[1] - MARGIN - TITLE], size: [box.size[0] + 2 * MARGIN, box.size[1] + 2 * MARGIN + TITLE],
  };
  return { ...graph, groups: { ...graph.groups, [id]: next } };
}

/** Take groups away and leave what is in them. */
export function ungroup(graph: Graph, ids: Iterable<string>): Graph {
  const gone = new Set(ids);
  const kept = Object.entries(graph.groups).filter(([id]) => !gone.has(id));
  return kept.length === Object.keys(graph.groups).length ? graph : { ...graph, groups: Object.fromEntries(kept) };
}

export function editGroup(graph: Graph, id: string, change: Partial<Omit<Group, "id">>): Graph {
  const old = graph.groups[id];
  return old ? { ...graph, groups: { ...graph.groups, [id]: { ...old, ...change } } } : graph;
}

/** What lies in a group: nodes and notes by their middle, smaller groups when they are wholly inside. */
export function contents(graph: Graph, id: string, size: Sizes): string[] {
  const outer = graph.groups[id];
  if (!outer) return [];
  const middles = [...Object.values(graph.nodes), ...Object.values(graph.notes)].filter((item) => {
    const [width, height] = size(item.id);
    return holds(outer, [item.at[0] + width / 2, item.at[1] + height / 2]);
  });
  const inner = Object.values(graph.groups).filter(
    (other) => other.id !== id && holds(outer, other.at) && holds(outer, [other.at[0] + other.size[0], other.at[1] + other.size[1]]),
  );
  return [...middles, ...inner].map((item) => item.id);
}

/** These things and all that moves with them, being in a group among them. */
export function withContents(graph: Graph, ids: Iterable<string>, size: Sizes): Set<string> {
  const all = new Set(ids);
  for (const id of all) if (id in graph.groups) for (const inner of contents(graph, id, size)) all.add(inner);
  return all;
}

export function addNote(graph: Graph, at: Point, text = ""): Graph {
  const id = freeMark("#n", graph.notes);
  return { ...graph, notes: { ...graph.notes, [id]: { id, text, at, size: NOTE_SIZE, colour: "#c9a227" } } };
}

export function editNote(graph: Graph, id: string, change: Partial<Omit<Note, "id">>): Graph {
  const old = graph.notes[id];
  return old ? { ...graph, notes: { ...graph.notes, [id]: { ...old, ...change } } } : graph;
}

function holds({ at, size }: Box, [x, y]: Point): boolean {
  return x >= at[0] && y >= at[1] && x <= at[0] + size[0] && y <= at[1] + size[1];
}

// ---- aligning -----------------------------------------------------------------------------------------------------

export function align(graph: Graph, ids: Iterable<string>, way: Way, size: Sizes): Graph {
  const items = boxes(graph, ids, size);
  const frame = around(graph, items.keys(), size);
  if (!frame || items.size < 2) return graph;
  const [left, top] = frame.at;
  const [right, bottom] = [left + frame.size[0], top + frame.size[1]];
  const places = new Map<string, Point>();
  for (const [id, { at: [x, y], size: [width, height] }] of items) {
    const next: Record<Way, Point> = {
      left: [left, y], centre: [(left + right - width) / 2, y], right: [right - width, y],
      top: [x, top], middle: [x, (top + bottom - height) / 2], bottom: [x, bottom - height],
    };
    places.set(id, next[way]);
  }
  return place(graph, places);
}

/** The same gap between neighbours, across (0) or down (1); the outermost stay where they are. */
export function distribute(graph: Graph, ids: Iterable<string>, axis: 0 | 1, size: Sizes): Graph {
  const items = [...boxes(graph, ids, size)].sort(([, one], [, other]) => one.at[axis] - other.at[axis]);
  const [first, last] = [items[0]?.[1], items.at(-1)?.[1]];
  if (!first || !last || items.length < 3) return graph;
  const room = last.at[axis] + last.size[axis] - first.at[axis];
  const gap = (room - items.reduce((sum, [, item]) => sum + item.size[axis], 0)) / (items.length - 1);
  const places = new Map<string, Point>();
  let next = first.at[axis];
  for (const [id, { at, size: extent }] of items) {
    places.set(id, axis === 0 ? [next, at[1]] : [at[0], next]);
    next += extent[axis] + gap;
  }
  return place(graph, places);
}

function boxes(graph: Graph, ids: Iterable<string>, size: Sizes): Map<string, Box> {
  const found = new Map<string, Box>();
  for (const id of ids) {
    const at = placeOf(graph, id);
    if (at) found.set(id, { at, size: size(id) });
  }
  return found;
}
