/**
 * The graph as React Flow takes it: nodes with their size and sockets given (so that it measures nothing), and wires.
 *
 * Every object is kept and given again as long as what it stands for has not changed; then React Flow, and React, skip it.
 * A node that only moves keeps its `data`, so that its card is not drawn again.
 */
import { type Edge, type Node, Position } from "@xyflow/react";
import type { Catalog, Graph, GraphNode, Group, Note, Point, Wire } from "../types";
import { type Layout, layoutOf } from "./geometry";

export type CardData = { node: GraphNode; layout: Layout };
export type CardNode = Node<CardData, "card">;
export type GroupNode = Node<{ group: Group }, "area">;
export type NoteNode = Node<{ note: Note }, "note">;
export type AnyNode = CardNode | GroupNode | NoteNode;
export type WireEdge = Edge<{ via: Point[]; colour: string; faint: boolean }, "wire">;

interface Kept { flow: CardNode; layout: Layout }

const cards = new WeakMap<GraphNode, Kept>();
const lastCard = new Map<string, { node: GraphNode; data: CardData }>();
const marks = new WeakMap<Group | Note, GroupNode | NoteNode>();
const edges = new WeakMap<Wire, WireEdge>();

export function flowNodes(graph: Graph, catalog: Catalog, media: ReadonlySet<string>, selection: ReadonlySet<string>): AnyNode[] {
  const all: AnyNode[] = [];
  for (const group of Object.values(graph.groups)) all.push(groupNode(group, selection.has(group.id)));
  for (const note of Object.values(graph.notes)) all.push(noteNode(note, selection.has(note.id)));
  for (const node of Object.values(graph.nodes)) all.push(card(node, layoutOf(graph, catalog, node.id, media.has(node.id))!, selection.has(node.id)));
  // What was renamed, deleted or closed is let go of now and then.
  if (lastCard.size > 2 * all.length + 100) for (const id of lastCard.keys()) if (!(id in graph.nodes)) lastCard.delete(id);
  return all;
}

function card(node: GraphNode, layout: Layout, selected: boolean): CardNode {
  const known = cards.get(node);
  if (known && known.layout === layout && known.flow.selected === selected) return known.flow;
  const before = lastCard.get(node.id);
  const data = before && before.data.layout.size[1] === layout.size[1] && likewise(before.node, node) && sameParts(before.data.layout, layout)
    ? before.data : { node, layout };
  lastCard.set(node.id, { node, data });
  const [width, height] = layout.size;
  const flow: CardNode = {
    id: node.id, type: "card", position: { x: node.at[0], y: node.at[1] }, width, height, measured: { width, height }, selected, data,
    ariaLabel: `${node.id}, ${node.type}`, zIndex: selected ? 3 : 1,
    handles: [
      ...layout.inputs.map(({ name, y }) => ({ id: name, type: "target" as const, position: Position.Left, x: -1, y: y - 1, width: 2, height: 2 })),
      ...layout.outputs.map(({ name, y }) => ({ id: name, type: "source" as const, position: Position.Right, x: width - 1, y: y - 1, width: 2, height: 2 })),
    ],
  };
  cards.set(node, { flow, layout });
  return flow;
}

/** Whether two states of a node differ in nothing but their place. */
function likewise(one: GraphNode, other: GraphNode): boolean {
  return one === other || (Object.keys(one) as (keyof GraphNode)[]).every((key) => key === "at" || one[key] === other[key]);
}

function sameParts(one: Layout, other: Layout): boolean {
  return one === other || (one.type === other.type && one.media === other.media && names(one) === names(other));
}

function names(layout: Layout): string {
  return [...layout.inputs, ...layout.outputs].map((socket) => `${socket.name}${socket.gone ? "!" : ""}`).join() + layout.fields.map((field) => field.name).join();
}

function groupNode(group: Group, selected: boolean): GroupNode {
  const known = marks.get(group) as GroupNode | undefined;
  if (known?.selected === selected) return known;
  const flow: GroupNode = { ...frame(group), type: "area", selected, data: { group }, zIndex: -1, ariaLabel: `Group ${group.title}`, dragHandle: ".lg-group-title" };
  marks.set(group, flow);
  return flow;
}

function noteNode(note: Note, selected: boolean): NoteNode {
  const known = marks.get(note) as NoteNode | undefined;
  if (known?.selected === selected) return known;
  const flow: NoteNode = { ...frame(note), type: "note", selected, data: { note }, zIndex: selected ? 3 : 2, ariaLabel: `Note ${note.text.slice(0, 60)}` };
  marks.set(note, flow);
  return flow;
}

function frame({ id, at: [x, y], size: [width, height] }: Group | Note) {
  return { id, position: { x, y }, width, height, measured: { width, height }, handles: [] };
}

/** A wire has the colour of what it carries; one from or to a muted node is faint. */
export function flowEdges(graph: Graph, catalog: Catalog, selection: ReadonlySet<string>): WireEdge[] {
  const found: WireEdge[] = [];
  for (const wire of graph.wires) {
    const [from, to] = [graph.nodes[wire.from], graph.nodes[wire.to]];
    if (!from || !to) continue;
    const type = catalog.nodes[from.type]?.outputs.find((output) => output.name === wire.output)?.type ?? "";
    const colour = catalog.values[type]?.colour ?? "var(--line-strong)";
    const faint = from.mode === "mute" || to.mode === "mute";
    const selected = selection.has(wire.id);
    const known = edges.get(wire);
    if (known?.selected === selected && known.data!.colour === colour && known.data!.faint === faint) {
      found.push(known);
      continue;
    }
    const edge: WireEdge = {
      id: wire.id, type: "wire", source: wire.from, sourceHandle: wire.output, target: wire.to, targetHandle: wire.input, selected,
      data: { via: wire.via, colour, faint }, zIndex: 0,
      // Not the picture that React Flow takes it for: its reroute points can be reached.
      ariaRole: "group",
    };
    edges.set(wire, edge);
    found.push(edge);
  }
  return found;
}
