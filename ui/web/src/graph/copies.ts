/** Parts of a graph: taken out as a document for the clipboard, and put in again under free names. */
import type { Graph, GraphNode, Group, Note, Point, Wire, WorkflowDocument } from "../types";
import { freeMark, freeName, makeWire } from "./names";

/** What an operation made, and the graph with it. */
export interface Made { graph: Graph; ids: string[] }

/** The nodes, groups and notes among `ids`, and the wires between these nodes. */
export function part(graph: Graph, ids: Iterable<string>): Graph {
  const wanted = new Set(ids);
  const pick = <T>(items: Record<string, T>): Record<string, T> => Object.fromEntries(Object.entries(items).filter(([id]) => wanted.has(id)));
  return {
    title: "", nodes: pick(graph.nodes), groups: pick(graph.groups), notes: pick(graph.notes), extra: {},
    wires: graph.wires.filter((wire) => wanted.has(wire.from) && wanted.has(wire.to)),
  };
}

/** Put all of `source` into the graph, moved by `shift`. Names that are taken are numbered; the rest stay. */
export function insert(graph: Graph, source: Graph, [dx, dy]: Point): Made {
  const taken = new Set(Object.keys(graph.nodes));
  const names = new Map<string, string>();
  const nodes = { ...graph.nodes };
  const at = ([x, y]: Point): Point => [Math.round(x + dx), Math.round(y + dy)];
  for (const node of Object.values(source.nodes)) {
    const id = freeName(node.id, taken);
    taken.add(id);
    names.set(node.id, id);
    nodes[id] = { ...node, id, at: at(node.at) };
  }
  const groups = { ...graph.groups };
  for (const group of Object.values(source.groups)) {
    const id = freeMark("#g", groups);
    names.set(group.id, id);
    groups[id] = { ...group, id, at: at(group.at) } satisfies Group;
  }
  const notes = { ...graph.notes };
  for (const note of Object.values(source.notes)) {
    const id = freeMark("#n", notes);
    names.set(note.id, id);
    notes[id] = { ...note, id, at: at(note.at) } satisfies Note;
  }
  const ids = new Set(graph.wires.map((wire) => wire.id));
  const wires: Wire[] = [...graph.wires];
  for (const wire of source.wires) {
    const [from, to] = [names.get(wire.from), names.get(wire.to)];
    if (from === undefined || to === undefined) continue;
    const next = makeWire({ from, output: wire.output, to, input: wire.input, via: wire.via.map(at) }, ids);
    ids.add(next.id);
    wires.push(next);
  }
  return { graph: { ...graph, nodes, groups, notes, wires }, ids: [...names.values()] };
}

/** Copies beside the originals; with `incoming`, fed from the same outside nodes as the originals are. */
export function duplicate(graph: Graph, ids: Iterable<string>, shift: Point, incoming = true): Made {
  const originals = [...ids].filter((id) => id in graph.nodes || id in graph.groups || id in graph.notes);
  const source = part(graph, originals);
  const made = insert(graph, source, shift);
  if (!incoming) return made;
  // `insert` names the copies in the order of nodes, groups, notes.
  const copies = new Map(Object.keys(source.nodes).map((id, index) => [id, made.ids[index]!]));
  const outer = graph.wires
    .filter((wire) => copies.has(wire.to) && !copies.has(wire.from))
    .map((wire) => makeWire({ ...wire, to: copies.get(wire.to)!, via: [] }));
  return { graph: { ...made.graph, wires: [...made.graph.wires, ...outer] }, ids: made.ids };
}

/** Whether this is the JSON of a workflow (or of a part of one), as far as the canvas can tell without the server. */
export function readable(value: unknown): value is WorkflowDocument {
  const document = value as Partial<WorkflowDocument> | null;
  return typeof document === "object" && document !== null && typeof document.format === "string" && /^loragraph\/\d+$/.test(document.format)
    && typeof document.nodes === "object" && document.nodes !== null && Object.values(document.nodes).every(sound);
}

function sound(node: unknown): boolean {
  const { type, settings = {}, inputs = {} } = (node ?? {}) as Partial<GraphNode> & { inputs?: Record<string, unknown> };
  return typeof type === "string" && typeof settings === "object" && settings !== null && typeof inputs === "object" && inputs !== null
    && Object.values(inputs).flat().every((wire) => typeof wire === "string");
}
