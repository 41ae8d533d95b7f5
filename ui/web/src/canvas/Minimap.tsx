/** The whole graph in a corner, with a frame around what is seen; press or drag in it to go there. */
import { useReactFlow, useStore, useStoreApi } from "@xyflow/react";
import { type PointerEvent, useEffect, useMemo, useRef } from "react";
import { useTheme } from "../shell/theme";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import type { Graph, Point } from "../types";
import { type Box, type Sizes, around, sizes } from "./geometry";
import { draw, frames, lookOf, paint } from "./painting";
import { useCanvas } from "./state";

const [WIDTH, HEIGHT] = [188, 124];
const MARGIN = 6;

export function Minimap() {
  const own = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const store = useStoreApi();
  const flow = useReactFlow();
  const graph = useGraph((state) => state.graph);
  const catalog = useGraph((state) => state.catalog);
  const selection = useGraph((state) => state.selection);
  const media = useCanvas((state) => state.media);
  const runs = useRuns((state) => state.nodes);
  const theme = useTheme();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const size = useMemo(() => sizes(graph, catalog, media), [graph, catalog, media]);
  const scale = useMemo(() => scaleOf(graph, size), [graph, size]);

  // The picture of the graph: drawn anew after edits and events, at most once a frame.
  useEffect(() => {
    const wait = requestAnimationFrame(() => {
      const element = own.current;
      const context = element?.getContext("2d");
      if (!element || !context) return;
      const look = lookOf(element);
      const ratio = Math.min(devicePixelRatio, 2);
      element.width = WIDTH * ratio;
      element.height = HEIGHT * ratio;
      paint(context, draw({ ...graph, wires: [] }, catalog, size, Infinity), scale, ratio, look);
      frames(context, graph, size, selection, (id) => (runs[id]?.state === "failed" || runs[id]?.state === "running" ? runs[id].state : undefined), scale[2], look);
    });
    return () => cancelAnimationFrame(wait);
    // The theme is read from the page: another one needs another picture.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [graph, catalog, size, scale, selection, runs, theme]);

  // The frame moves with every step of the view, and draws nothing else again.
  useEffect(() => {
    const now = (): void => {
      if (!frame.current) return; // gone, where React cleans up later
      const [x, y, zoom] = store.getState().transform;
      const [left, top] = [(-x / zoom) * scale[2] + scale[0], (-y / zoom) * scale[2] + scale[1]];
      Object.assign(frame.current.style, {
        transform: `translate(${left}px, ${top}px)`, width: `${(width / zoom) * scale[2]}px`, height: `${(height / zoom) * scale[2]}px`,
      });
    };
    now();
    return store.subscribe(now);
  }, [store, scale, width, height]);

  const go = (event: PointerEvent<HTMLDivElement>): void => {
    if (event.type === "pointermove" && event.buttons !== 1) return;
    const { left, top } = event.currentTarget.getBoundingClientRect();
    const at: Point = [(event.clientX - left - scale[0]) / scale[2], (event.clientY - top - scale[1]) / scale[2]];
    const zoom = flow.getZoom();
    void flow.setViewport({ x: width / 2 - at[0] * zoom, y: height / 2 - at[1] * zoom, zoom });
  };
  return (
    <div
      className="lg-minimap lg-over" data-testid="minimap" style={{ width: WIDTH, height: HEIGHT }} onPointerMove={go}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        go(event);
      }}
    >
      <canvas ref={own} style={{ width: WIDTH, height: HEIGHT }}>Minimap</canvas>
      <div ref={frame} className="lg-minimap-frame" />
    </div>
  );
}

function scaleOf(graph: Graph, size: Sizes): [number, number, number] {
  const box: Box = around(graph, [...Object.keys(graph.nodes), ...Object.keys(graph.groups), ...Object.keys(graph.notes)], size) ?? { at: [0, 0], size: [1, 1] };
  const zoom = Math.min((WIDTH - 2 * MARGIN) / box.size[0], (HEIGHT - 2 * MARGIN) / box.size[1], 0.12);
  return [WIDTH / 2 - (box.at[0] + box.size[0] / 2) * zoom, HEIGHT / 2 - (box.at[1] + box.size[1] / 2) * zoom, zoom];
}
