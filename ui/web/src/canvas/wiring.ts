/**
 * Drawing wires: what may be connected while a wire is dragged, and what happens where it is dropped.
 *
 *     on a socket          connect, or a notice that says why not
 *     on a node            connect to its best fitting socket
 *     on the empty canvas  quick-add with what fits; a wire whose end was moved there is taken away
 *
 * While a wire is dragged the canvas carries `data-wire="out Images"` (the side and type it comes from); a style sheet
 * made from the catalog dims the sockets that do not fit, without drawing any node again.
 */
import { type Connection, type Edge, type FinalConnectionState, type HandleType, useStoreApi } from "@xyflow/react";
import { type RefObject, useMemo } from "react";
import { type Ends, type Side, type Socket, accepted, bestSocket, endsOf, inputOf, outputOf, refusal, takesMany } from "../graph/fits";
import { connect, disconnect } from "../graph/operations";
import { useGraph } from "../state/graph";
import { notify, openDialog } from "../state/shell";
import type { Catalog, Graph, Point } from "../types";
import { overCanvas } from "./place";

interface Start { nodeId: string | null; handleId: string | null; handleType: HandleType | null }

type CanvasRef = RefObject<HTMLElement | null>;

export function useWiring(canvas: CanvasRef) {
  const store = useStoreApi();
  return useMemo(() => wiring(canvas, () => store.setState({ connectionClickStartHandle: null })), [canvas, store]);
}

/** What React Flow is to call. `unclick` makes it forget the socket that was clicked. */
function wiring(canvas: CanvasRef, unclick: () => void) {
  /** The wire whose end is being moved. */
  let moved: string | null = null;
  /** The socket that was clicked, for wiring by two clicks or taps. */
  let clicked: Socket | null = null;

  const begin = (start: Start): Socket | null => {
    const socket = socketOf(start);
    if (socket && canvas.current) {
      canvas.current.dataset.wire = `${socket.side} ${socket.type}`;
      canvas.current.style.setProperty("--wire", useGraph.getState().catalog.values[socket.type]?.colour ?? "var(--accent)");
    }
    return socket;
  };
  const end = (): void => {
    delete canvas.current?.dataset.wire;
  };
  const current = (): Graph => {
    const { graph } = useGraph.getState();
    return moved ? disconnect(graph, [moved]) : graph;
  };
  const join = (ends: Ends): void => {
    const instead = moved ?? undefined;
    useGraph.getState().edit("connect", (graph) => connect(graph, ends, takesMany(graph, useGraph.getState().catalog, ends.to, ends.input), instead));
  };
  const explain = (ends: Ends): void => {
    const why = refusal(current(), useGraph.getState().catalog, ends);
    if (why) notify("warning", why);
  };

  /** A wire let go anywhere but on a socket that takes it. */
  const dropped = (client: Point, from: Socket, on: { node: string; socket: string; side: Side } | null): void => {
    const { catalog, graph } = useGraph.getState();
    const under = document.elementFromPoint(...client);
    const node = under?.closest<HTMLElement>("[data-node]")?.dataset.node ?? on?.node;
    if (on && !graph.nodes[on.node]?.collapsed) return on.side === from.side ? sameSide() : explain(endsOf(from, on.node, on.socket));
    if (node !== undefined && node !== from.node) {
      const socket = bestSocket(current(), catalog, node, from);
      if (socket) join(endsOf(from, node, socket));
      else notify("warning", `"${node}" has no ${from.side === "out" ? "input" : "output"} for ${from.type || "this wire"}.`);
    } else if (node === undefined && overCanvas(client)) {
      if (moved) useGraph.getState().edit("disconnect", (now) => disconnect(now, [moved!]));
      else openDialog("quick-add", { client, wire: from });
    }
  };

  const finish = (event: MouseEvent | TouchEvent, state: FinalConnectionState): void => {
    end();
    const { fromHandle, toHandle, isValid } = state;
    if (isValid || !fromHandle) return;
    const from = socketOf({ nodeId: fromHandle.nodeId, handleId: fromHandle.id ?? null, handleType: fromHandle.type });
    if (from) dropped(clientOf(event), from, toHandle ? { node: toHandle.nodeId, socket: toHandle.id ?? "", side: sideOf(toHandle.type) } : null);
  };

  return {
    isValidConnection: (wanted: Connection | Edge): boolean => refusal(current(), useGraph.getState().catalog, wireEnds(wanted)) === null,
    onConnect: (made: Connection): void => join(wireEnds(made)),
    onConnectStart: (_: unknown, start: Start): void => void begin(start),
    onConnectEnd: (event: MouseEvent | TouchEvent, state: FinalConnectionState): void => {
      if (!moved) finish(event, state);
    },
    onReconnectStart: (_: unknown, edge: Edge): void => {
      moved = edge.id;
    },
    onReconnect: (_: Edge, made: Connection): void => join(wireEnds(made)),
    onReconnectEnd: (event: MouseEvent | TouchEvent, _: Edge, __: HandleType, state: FinalConnectionState): void => {
      finish(event, state);
      moved = null;
    },
    onClickConnectStart: (_: unknown, start: Start): void => {
      clicked = begin(start);
    },
    onClickConnectEnd: (event: MouseEvent | TouchEvent): void => {
      end();
      const handle = (event.target as Element | null)?.closest<HTMLElement>("[data-handleid]");
      const [node, socket] = [handle?.dataset.nodeid, handle?.dataset.handleid];
      if (clicked && node !== undefined && socket !== undefined && (node !== clicked.node || socket !== clicked.socket)) {
        if (handle!.dataset.side === clicked.side) sameSide();
        else explain(endsOf(clicked, node, socket));
      }
      clicked = null;
    },
    /** Give up a wire that was begun by a click. */
    cancelClick: (): void => {
      if (!clicked) return;
      clicked = null;
      end();
      unclick();
    },
  };
}

function wireEnds({ source, sourceHandle, target, targetHandle }: Connection | Edge): Ends {
  return { from: source, output: sourceHandle ?? "", to: target, input: targetHandle ?? "" };
}

function sameSide(): void {
  notify("warning", "A wire goes from an output to an input.");
}

function sideOf(type: HandleType | null): Side {
  return type === "source" ? "out" : "in";
}

function socketOf({ nodeId, handleId, handleType }: Start): Socket | null {
  if (nodeId === null || handleId === null) return null;
  const { graph, catalog } = useGraph.getState();
  const side = sideOf(handleType);
  const type = (side === "out" ? outputOf(graph, catalog, nodeId, handleId) : inputOf(graph, catalog, nodeId, handleId))?.type ?? "";
  return { node: nodeId, socket: handleId, side, type };
}

export function clientOf(event: MouseEvent | TouchEvent): Point {
  const at = "changedTouches" in event ? event.changedTouches[0] : event;
  return [at?.clientX ?? 0, at?.clientY ?? 0];
}

/** The style sheet that dims what a dragged wire does not fit. */
export function wireStyles(catalog: Catalog): string {
  const rules = [".lg .lg-canvas[data-wire] .lg-socket{opacity:.22}"];
  const clear = (wire: string, side: "in" | "out", types: string[]): void => {
    const sockets = ["", ...types].map((type) => `.lg .lg-canvas[data-wire="${wire}"] .lg-socket[data-side="${side}"][data-type="${CSS.escape(type)}"]`);
    rules.push(`${sockets.join(",")}{opacity:1}`);
  };
  const types = Object.keys(catalog.values);
  for (const type of types) {
    clear(`out ${CSS.escape(type)}`, "in", accepted(type, catalog));
    clear(`in ${CSS.escape(type)}`, "out", types.filter((other) => accepted(other, catalog).includes(type)));
  }
  rules.push('.lg .lg-canvas[data-wire="out "] .lg-socket[data-side="in"],.lg .lg-canvas[data-wire="in "] .lg-socket[data-side="out"]{opacity:1}');
  return rules.join("\n");
}
