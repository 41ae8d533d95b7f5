/**
 * Far out, all nodes are one drawing instead of a thousand elements. They can still be selected (click, Shift-drag for a
 * box) and dragged; a double click goes there.
 */
import { useStore, useStoreApi } from "@xyflow/react";
import { type RefObject, useEffect, useEffectEvent, useMemo, useRef, useState } from "react";
import { withContents } from "../graph/arrange";
import { move } from "../graph/operations";
import { useTheme } from "../shell/theme";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import type { Graph, NodeState, Point } from "../types";
import { type Sizes, sizes } from "./geometry";
import { draw, frames, lookOf, paint } from "./painting";
import { GRID } from "./place";
import { useCanvas } from "./state";
import { view } from "./view";

interface Dragged { from: Point; start: Graph; ids: ReadonlySet<string>; moved: boolean }
interface Boxed { from: Point; to: Point; kept: ReadonlySet<string> }

/** The topmost node, note or group at a place of the graph. */
export function hit(graph: Graph, size: Sizes, [x, y]: Point): string | null {
  const inside = ({ id, at }: { id: string; at: Point }): boolean => {
    const [width, height] = size(id);
    return x >= at[0] && y >= at[1] && x <= at[0] + width && y <= at[1] + height;
  };
  return (Object.values(graph.nodes).findLast(inside) ?? Object.values(graph.notes).findLast(inside) ?? Object.values(graph.groups).findLast(inside))?.id ?? null;
}

export function Overview({ canvas }: { canvas: RefObject<HTMLElement | null> }) {
  const own = useRef<HTMLCanvasElement>(null);
  const store = useStoreApi();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const graph = useGraph((state) => state.graph);
  const catalog = useGraph((state) => state.catalog);
  const selection = useGraph((state) => state.selection);
  const media = useCanvas((state) => state.media);
  const runs = useRuns((state) => state.nodes);
  const theme = useTheme();
  const size = useMemo(() => sizes(graph, catalog, media), [graph, catalog, media]);
  const drawing = useMemo(() => draw(graph, catalog, size), [graph, catalog, size]);
  const dragged = useRef<Dragged | null>(null);
  const [box, setBox] = useState<Boxed | null>(null);

  useEffect(() => {
    const element = own.current!;
    const context = element.getContext("2d")!;
    const ratio = Math.min(devicePixelRatio, 2);
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    const look = lookOf(element);
    const state = (id: string): NodeState | undefined => runs[id]?.state;
    let last: readonly number[] = [];
    const now = (): void => {
      const { transform } = store.getState();
      if (transform === last) return;
      last = transform;
      paint(context, drawing, transform, ratio, look);
      frames(context, graph, size, selection, state, transform[2], look);
    };
    now();
    return store.subscribe(now);
    // The theme is read from the page: another one needs another picture.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [width, height, drawing, graph, size, selection, runs, store, theme]);

  // On the canvas, before React Flow sees them: what begins on a node (or a box) is ours, the rest moves the view.
  const ours = useEffectEvent((event: PointerEvent): boolean => {
    const at = view()?.toGraph([event.clientX, event.clientY]);
    if (event.button !== 0 || !at || (event.target as Element).closest(".lg-over")) return false;
    const { select } = useGraph.getState();
    const id = hit(graph, size, at);
    if (id && !(id in graph.groups)) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) select(selection.has(id) ? [...selection].filter((each) => each !== id) : [...selection, id]);
      else if (!selection.has(id)) select([id]);
      dragged.current = { from: at, start: graph, ids: withContents(graph, useGraph.getState().selection, size), moved: false };
      return true;
    }
    if (!event.shiftKey && useCanvas.getState().tool === "pan") return false;
    setBox({ from: at, to: at, kept: event.shiftKey ? selection : new Set() });
    return true;
  });
  const moved = useEffectEvent((event: PointerEvent): void => {
    const at = view()?.toGraph([event.clientX, event.clientY]);
    if (!at) return;
    const drag = dragged.current;
    if (drag) {
      const by: Point = [at[0] - drag.from[0], at[1] - drag.from[1]];
      if (!drag.moved && Math.hypot(...by) * (view()?.zoom() ?? 1) < 3) return;
      drag.moved = true;
      const step: Point = event.altKey ? by : [Math.round(by[0] / GRID) * GRID, Math.round(by[1] / GRID) * GRID];
      useGraph.getState().edit("move", () => move(drag.start, drag.ids, step), "drag");
    } else if (box) {
      const next = { ...box, to: at };
      setBox(next);
      useGraph.getState().select([...box.kept, ...touched(graph, size, next)]);
    }
  });
  useEffect(() => {
    const element = canvas.current!;
    let mine = false;
    const down = (event: PointerEvent): void => {
      mine = ours(event);
      if (!mine) return;
      event.stopPropagation();
      element.setPointerCapture(event.pointerId);
    };
    // The view is moved by mouse and touch events, which come beside those of the pointer.
    const hold = (event: Event): void => { if (mine) event.stopPropagation(); };
    const up = (): void => {
      if (!mine) return;
      dragged.current = null;
      setBox(null);
      useGraph.getState().settle();
    };
    const click = (event: Event): void => {
      hold(event);
      mine = false;
    };
    const listeners: [string, (event: never) => void, boolean][] = [
      ["pointerdown", down, true], ["mousedown", hold, true], ["touchstart", hold, true], ["click", click, true],
      ["pointermove", moved, false], ["pointerup", up, false], ["pointercancel", up, false],
    ];
    for (const [name, listener, capture] of listeners) element.addEventListener(name, listener as EventListener, capture);
    return () => { for (const [name, listener, capture] of listeners) element.removeEventListener(name, listener as EventListener, capture); };
  }, [canvas]);
  const [from, to] = box && view() ? [local(box.from), local(box.to)] : [null, null];
  return (
    <>
      <canvas ref={own} className="lg-overview" data-testid="overview">Overview of {Object.keys(graph.nodes).length} nodes</canvas>
      {from && to && (
        <div
          className="lg-overview-box"
          style={{ left: Math.min(from[0], to[0]), top: Math.min(from[1], to[1]), width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) }}
        />
      )}
    </>
  );
}

/** From the graph's coordinates to those of the canvas element. */
function local(at: Point): Point {
  const [x, y] = view()!.toClient(at);
  const { left, top } = view()!.element().getBoundingClientRect();
  return [x - left, y - top];
}

function touched(graph: Graph, size: Sizes, { from, to }: Boxed): string[] {
  const [left, right] = [Math.min(from[0], to[0]), Math.max(from[0], to[0])];
  const [top, bottom] = [Math.min(from[1], to[1]), Math.max(from[1], to[1])];
  return [...Object.values(graph.nodes), ...Object.values(graph.notes)].filter(({ id, at: [x, y] }) => {
    const [width, height] = size(id);
    return x < right && y < bottom && x + width > left && y + height > top;
  }).map((item) => item.id);
}
