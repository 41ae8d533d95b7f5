/** New nodes and notes: where they go, and how they are wired at once. Used by the palette, quick-add and commands. */
import { type Socket, bestSocket, endsOf, takesMany } from "../graph/fits";
import { addNote } from "../graph/arrange";
import { add, connect, newName } from "../graph/operations";
import { useGraph } from "../state/graph";
import type { Graph, Point } from "../types";
import { HEADER, ROW, WIDTH, layoutOf } from "./geometry";
import { pointer, useCanvas } from "./state";
import { view } from "./view";

export const GRID = 10;

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
    return putAt(next, id, free(graph, client ? [x - WIDTH / 2, y - HEADER / 2] : [x - WIDTH / 2, y - height / 2]));
  });
  select([id]);
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
