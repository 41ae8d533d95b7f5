/** Where the canvas looks: offers it to the other parts (view.ts), shows all of a document that was opened. */
import { useReactFlow } from "@xyflow/react";
import { type RefObject, useEffect, useMemo } from "react";
import { useGraph } from "../state/graph";
import { around } from "./geometry";
import { currentSizes } from "./selected";
import { useCanvas } from "./state";
import { type View, setView } from "./view";

/** Pixels left free around what is shown; below there are the buttons. */
const [MARGIN, BELOW] = [32, 60];
const GLIDE = 160;
/** The view counts as resting so many milliseconds after its last movement. */
const REST = 140;

export function useLooking(canvas: RefObject<HTMLElement | null>) {
  const flow = useReactFlow();
  useEffect(() => {
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    const frame = () => canvas.current!.getBoundingClientRect();
    /** A document was opened while the canvas was in a tab that is not seen, and has no size. */
    let missed = false;
    const show = (ids: Iterable<string> | undefined, duration: number): void => {
      const { graph } = useGraph.getState();
      const { width, height } = frame();
      missed = width === 0 || height === 0;
      if (missed) return;
      const box = around(graph, ids ?? [...Object.keys(graph.nodes), ...Object.keys(graph.groups), ...Object.keys(graph.notes)], currentSizes());
      if (!box) return void flow.setViewport({ x: width / 2, y: height / 2, zoom: 1 }, { duration });
      const all = Math.min((width - 2 * MARGIN) / box.size[0], (height - MARGIN - BELOW) / box.size[1], 1);
      const zoom = Math.max(0.04, ids ? Math.min(all, Math.max(flow.getZoom(), 0.7)) : all);
      const [x, y] = [box.at[0] + box.size[0] / 2, box.at[1] + box.size[1] / 2];
      void flow.setViewport({ x: width / 2 - x * zoom, y: (height + MARGIN - BELOW) / 2 - y * zoom, zoom }, { duration });
    };
    const glide = () => (calm.matches ? 0 : GLIDE);
    const centre = () => {
      const { left, top, width, height } = frame();
      return { x: left + width / 2, y: top + height / 2 };
    };
    const view: View = {
      toGraph: ([x, y]) => {
        const at = flow.screenToFlowPosition({ x, y }, { snapToGrid: false });
        return [at.x, at.y];
      },
      toClient: ([x, y]) => {
        const at = flow.flowToScreenPosition({ x, y });
        return [at.x, at.y];
      },
      centre: () => view.toGraph([centre().x, centre().y]),
      zoom: () => flow.getZoom(),
      zoomTo: (zoom) => void flow.zoomTo(zoom, { duration: glide() }),
      approach: (client, node) => {
        const [x, y] = view.toGraph(client);
        const { left, top, width } = frame();
        const at = client[0] - left - x;
        const shift = Math.max(MARGIN, Math.min(at + node.left, width - MARGIN - node.width)) - node.left;
        void flow.setViewport({ x: shift, y: client[1] - top - y, zoom: 1 }, { duration: glide() });
      },
      reveal: (ids) => show(ids, glide()),
      element: () => canvas.current!,
    };
    setView(view);
    show(undefined, 0);
    const stop = useGraph.subscribe((now, before) => { if (now.loads !== before.loads) show(undefined, 0); });
    const seen = new ResizeObserver(() => { if (missed) show(undefined, 0); });
    seen.observe(canvas.current!);
    return () => {
      stop();
      seen.disconnect();
      setView(null);
    };
  }, [canvas, flow]);

  return useMemo(() => resting(), []);
}

function resting() {
  let rest: ReturnType<typeof setTimeout> | undefined;
  return {
    moveStart: () => {
      clearTimeout(rest);
      useCanvas.setState({ moving: true });
    },
    moveEnd: () => {
      clearTimeout(rest);
      rest = setTimeout(() => useCanvas.setState({ moving: false }), REST);
    },
  };
}
