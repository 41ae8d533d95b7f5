/** New nodes and notes: where they go, and how they are wired at once. Used by the palette, quick-add and commands. */
import { type Socket, bestSocket, endsOf, takesMany } from "../graph/fits";
import { addNote } from "../graph/arrange";
import { add, connect, newName } from "../graph/operations";
import { useGraph } from "../state/graph";
import type { Graph, Point } from "../types";
import { HEADER, ROW, WIDTH, layoutOf } from "./geometry";
import { currentSizes } from "./selected";
import { pointer, useCanvas } from "./state";
import { view } from "./view";

export const GRID = 10;
/** Pixels between nodes that are added without a place, and how many nodes away a free one is looked for. */
const [GAP, FARTHEST] = [60, 20];

/**
 * Add a node of this type where the pointer is (without: in the middle of what is seen), select it, and return its name.
 * With a wire that was dragged out of a socket, the node is wired to it and lies so that the wire ends at the pointer.
 */
export function addNode(type: string, client: Point | null, wire?: Socket): string {
  const { catalog, graph, edit, select } = useGraph.getState();
  const known = catalog.nodes[type];
  if (!known) throw new Error(`there is no node type "${type}"`);
  const id = newName(graph, type);
  const at = client ? view()?.toGraph(client) : view()?.centre();
  const [x, y] = at ?? [0, 0];
  edit("add", (graph) => {
    let next = add(graph, known, [0, 0], id);
    const socket = wire && bestSocket(next, catalog, id, wire);
    if (wire && socket) {
      const ends = endsOf(wire, id, socket);
      next = connect(next, ends, takesMany(next, catalog, ends.to, ends.input));
      const layout = layoutOf(next, catalog, id, false);
      const row = (wire.side === "out" ? layout?.inputs : layout?.outputs)?.find((each) => each.name === socket)?.y ?? HEADER + ROW / 2;
      return putAt(next, id, wire.side === "out" ? [x, y - row] : [x - WIDTH, y - row]);
    }
    const height = layoutOf(next, catalog, id, false)?.size[1] ?? 0;
    return putAt(next, id, free(graph, client ? [x - WIDTH / 2, y - HEADER / 2] : beside(graph, [x - WIDTH / 2, y - height / 2], height)));
  });
  select([id]);
  if (!client && !wire) showAll(id);
  return id;
}

/** Add an empty note, ready to be written. */
export function addNoteHere(client: Point | null): void {
  const at = (client && view()?.toGraph(client)) ?? view()?.centre() ?? [0, 0];
  const { edit, select } = useGraph.getState();
  edit("add note", (graph) => addNote(graph, free(graph, [at[0] - 120, at[1] - 20])));
  const id = Object.keys(useGraph.getState().graph.notes).at(-1)!;
  select([id]);
  useCanvas.setState({ renaming: id });
}

/** Whether a place of the window is on the canvas and not on something that lies over it. */
export function overCanvas([x, y]: Point): boolean {
  const canvas = view()?.element();
  const top = canvas?.ownerDocument.elementFromPoint(x, y);
  return top !== null && top !== undefined && canvas!.contains(top) && !top.closest(".lg-over");
}

/** The pointer's place while it is over the canvas. */
export function pointed(): Point | null {
  return pointer.at && overCanvas(pointer.at) ? pointer.at : null;
}

/** The place nearest to `at` (first to the right, then below) where a node of this height covers nothing. */
function beside(graph: Graph, at: Point, height: number): Point {
  const size = currentSizes();
  const taken = [...Object.values(graph.nodes), ...Object.values(graph.notes)].map((item) => ({ at: item.at, size: size(item.id) }));
  const [across, down] = [WIDTH + GAP, height + GAP];
  const covers = ([x, y]: Point): boolean => taken.some((other) => (
    x < other.at[0] + other.size[0] + GAP / 2 && other.at[0] < x + WIDTH + GAP / 2 && y < other.at[1] + other.size[1] + GAP / 2 && other.at[1] < y + height + GAP / 2
  ));
  for (let ring = 0; ring <= FARTHEST; ring++) {
    for (const [right, below] of [[ring, 0], [0, ring], [ring, ring], [-ring, 0], [0, -ring]] as const) {
      const place: Point = [at[0] + right * across, at[1] + below * down];
      if (!covers(place)) return place;
    }
  }
  return at;
}

/** Move the view to a node that lies in part outside of it. */
function showAll(id: string): void {
  const { graph } = useGraph.getState();
  const node = graph.nodes[id];
  const now = view();
  if (!node || !now) return;
  const [width, height] = currentSizes()(id);
  const { left, top, right, bottom } = now.element().getBoundingClientRect();
  const [from, to] = [now.toClient(node.at), now.toClient([node.at[0] + width, node.at[1] + height])];
  if (from[0] < left || from[1] < top || to[0] > right || to[1] > bottom) now.reveal([id]);
}

/** On the grid, and beside what already lies at the very same place. */
function free(graph: Graph, [x, y]: Point): Point {
  const taken = new Set([...Object.values(graph.nodes), ...Object.values(graph.notes)].map((item) => String(item.at)));
  let at: Point = [Math.round(x / GRID) * GRID, Math.round(y / GRID) * GRID];
  while (taken.has(String(at))) at = [at[0] + 3 * GRID, at[1] + 3 * GRID];
  return at;
}

function putAt(graph: Graph, id: string, [x, y]: Point): Graph {
  return { ...graph, nodes: { ...graph.nodes, [id]: { ...graph.nodes[id]!, at: [Math.round(x), Math.round(y)] } } };
}
