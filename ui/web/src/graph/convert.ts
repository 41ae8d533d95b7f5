/**
 * Between the graph that is edited and the document that is saved (docs/workflow_file.md).
 *
 *     const graph = fromDocument(JSON.parse(text), catalog);
 *     await save(toText(graph));
 *
 * Nothing is lost on the way: what this canvas does not know in the document and in its view stays as it was. Positions
 * are whole pixels. Nodes without one are put into columns, from left to right as the wires run.
 */
import type { Catalog, Graph, GraphNode, Group, Json, Note, Point, Wire, WorkflowDocument } from "../types";
import { columns } from "./columns";
import { makeWire, reference, sourceOf } from "./names";

type Fields = Record<string, Json>;
type SpecNode = WorkflowDocument["nodes"][string];

export const FORMAT = "loragraph/1";
const GROUP_COLOUR = "#7a8bb0";
const NOTE_COLOUR = "#c9a227";

export function toText(graph: Graph): string {
  return `${JSON.stringify(toDocument(graph), null, 2)}\n`;
}

export function toDocument(graph: Graph): WorkflowDocument {
  const { view: unknown, ...others } = graph.extra;
  const nodes: WorkflowDocument["nodes"] = {};
  const view: Record<string, Fields> = {};
  for (const node of Object.values(graph.nodes)) {
    nodes[node.id] = specOf(node);
    view[node.id] = viewOf(node);
  }
  for (const wire of graph.wires) {
    const spec = nodes[wire.to];
    if (!spec) continue;
    spec.inputs ??= {};
    const before = spec.inputs[wire.input];
    spec.inputs[wire.input] = before === undefined ? reference(wire) : [before, reference(wire)].flat();
  }
  const marks = {
    "#groups": byId(graph.groups, (group) => ({ at: whole(group.at), size: whole(group.size) })),
    "#notes": byId(graph.notes, (note) => ({ at: whole(note.at), size: whole(note.size) })),
    "#wires": Object.fromEntries(graph.wires.filter((wire) => wire.via.length).map((wire) => [wire.id, { via: wire.via.map(whole) }])),
  };
  for (const [name, held] of Object.entries(marks)) if (Object.keys(held).length) view[name] = held as Fields;
  Object.assign(view, fields(unknown));
  return {
    ...others,
    format: FORMAT,
    ...(graph.title === "" ? {} : { title: graph.title }),
    nodes,
    ...(Object.keys(view).length ? { view } : {}),
  };
}

/** `catalog` tells how large nodes are, for those that have no position yet. */
export function fromDocument(document: WorkflowDocument, catalog?: Catalog): Graph {
  const { format: _, title, nodes: specs, view: shown, ...others } = document;
  const { "#groups": groups, "#notes": notes, "#wires": routes, ...views } = fields(shown);
  const nodes: Record<string, GraphNode> = {};
  const wires: Wire[] = [];
  const ids = new Set<string>();
  const lost: string[] = [];
  for (const [id, spec] of Object.entries(specs ?? {})) {
    const { at, collapsed, expanded, randomise, ...extra } = fields(views[id]);
    const place = point(at);
    if (!place) lost.push(id);
    nodes[id] = {
      id, type: spec.type, version: spec.version ?? 1, settings: { ...spec.settings }, mode: spec.mode ?? "", at: place ?? [0, 0],
      collapsed: collapsed === true, expanded: expanded === true,
      randomise: Array.isArray(randomise) ? randomise.filter((name) => typeof name === "string") : [], extra,
    };
    for (const [input, held] of Object.entries(spec.inputs ?? {})) {
      for (const text of Array.isArray(held) ? held : [held]) {
        const wire = makeWire({ ...sourceOf(text), to: id, input, via: [] }, ids);
        const via = fields(fields(routes)[wire.id]).via;
        ids.add(wire.id);
        wires.push(Array.isArray(via) ? { ...wire, via: via.map(point).filter((each) => each !== null) } : wire);
      }
    }
  }
  const unknown = Object.fromEntries(Object.entries(views).filter(([id]) => !(id in nodes)));
  const graph: Graph = {
    title: typeof title === "string" ? title : "", nodes, wires,
    groups: marks<Group>(groups, (id, { title, colour }) => ({ id, title: words(title), colour: words(colour) || GROUP_COLOUR })),
    notes: marks<Note>(notes, (id, { text, colour }) => ({ id, text: words(text), colour: words(colour) || NOTE_COLOUR })),
    extra: { ...(others as Fields), ...(Object.keys(unknown).length ? { view: unknown } : {}) },
  };
  return lost.length ? columns(graph, lost, catalog) : graph;
}

function specOf(node: GraphNode): SpecNode {
  return {
    type: node.type,
    version: node.version,
    ...(Object.keys(node.settings).length ? { settings: node.settings } : {}),
    ...(node.mode === "" ? {} : { mode: node.mode }),
  };
}

function viewOf(node: GraphNode): Fields {
  return {
    at: whole(node.at),
    ...(node.collapsed ? { collapsed: true } : {}),
    ...(node.expanded ? { expanded: true } : {}),
    ...(node.randomise.length ? { randomise: node.randomise } : {}),
    ...node.extra,
  };
}

function byId<T extends { id: string }>(items: Record<string, T>, rounded: (item: T) => Partial<T>): Record<string, Omit<T, "id">> {
  return Object.fromEntries(Object.values(items).map((item) => {
    const { id, ...rest } = { ...item, ...rounded(item) };
    return [id, rest];
  }));
}

/** Groups or notes as far as they have a place; what else stands in them is kept. */
function marks<T extends Group | Note>(held: Json | undefined, read: (id: string, fields: Fields) => Omit<T, "at" | "size">): Record<string, T> {
  const found: Record<string, T> = {};
  for (const [id, value] of Object.entries(fields(held))) {
    const known = fields(value);
    const at = point(known.at);
    const size = point(known.size);
    if (at && size) found[id] = { ...known, ...read(id, known), at, size } as unknown as T;
  }
  return found;
}

function fields(value: Json | undefined): Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function words(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

function point(value: Json | undefined): Point | null {
  if (!Array.isArray(value) || value.length !== 2) return null;
  const [x, y] = value;
  return typeof x === "number" && typeof y === "number" && Number.isFinite(x) && Number.isFinite(y) ? [x, y] : null;
}

function whole([x, y]: Point): Point {
  return [Math.round(x), Math.round(y)];
}
