/** A reroute point where a wire was clicked. */
import { addVia } from "../graph/operations";
import { useGraph } from "../state/graph";
import { nearestPiece, pieces } from "./curves";
import { layoutOf } from "./geometry";
import { useCanvas } from "./state";
import { view } from "./view";

/** Put a reroute point into a wire where the window was clicked. */
export function addViaAt(id: string, client: readonly [number, number]): void {
  const { graph, catalog, edit } = useGraph.getState();
  const at = view()?.toGraph([...client]);
  const wire = graph.wires.find((each) => each.id === id);
  const media = useCanvas.getState().media;
  const from = wire && layoutOf(graph, catalog, wire.from, media.has(wire.from));
  const to = wire && layoutOf(graph, catalog, wire.to, media.has(wire.to));
  if (!at || !wire || !from || !to) return;
  const [source, target] = [graph.nodes[wire.from]!.at, graph.nodes[wire.to]!.at];
  const out = from.outputs.find((socket) => socket.name === wire.output)?.y ?? 0;
  const into = to.inputs.find((socket) => socket.name === wire.input)?.y ?? 0;
  const course = pieces([source[0] + from.size[0], source[1] + out], wire.via, [target[0], target[1] + into]);
  edit("reroute", (now) => addVia(now, id, nearestPiece(course, at), at));
}
