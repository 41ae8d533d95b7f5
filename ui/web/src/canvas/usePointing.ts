/** Clicks, double clicks, long presses, right clicks and the Enter key on the canvas and what is on it. */
import type { Edge, Node } from "@xyflow/react";
import { type KeyboardEvent, type MouseEvent, type PointerEvent, useEffect, useMemo } from "react";
import { typing } from "../commands";
import { useGraph } from "../state/graph";
import { openDialog } from "../state/shell";
import type { Point } from "../types";
import { hit } from "./Overview";
import { addViaAt } from "./reroute";
import { currentSizes } from "./selected";
import { type MenuTarget, pointer, useCanvas } from "./state";
import { view } from "./view";

const LONG_PRESS = 550;
const STILL = 8;

export function usePointing(far: boolean, cancelClick: () => void) {
  useEffect(() => {
    const escaped = (event: globalThis.KeyboardEvent) => { if (event.key === "Escape") cancelClick(); };
    window.addEventListener("keydown", escaped, true);
    return () => window.removeEventListener("keydown", escaped, true);
  }, [cancelClick]);

  return useMemo(() => pointing(far, cancelClick), [far, cancelClick]);
}

function pointing(far: boolean, cancelClick: () => void) {
  let pressing: { timer: ReturnType<typeof setTimeout>; at: Point } | null = null;
  const letGo = (): void => {
    if (pressing) clearTimeout(pressing.timer);
    pressing = null;
  };
  const openMenu = (target: Element, client: Point): void => {
    const found = targetOf(target, client, far ? under(client) : null);
    const { selection, select } = useGraph.getState();
    if (found.id && !selection.has(found.id)) select([found.id]);
    useCanvas.setState({ menu: found });
  };

  const canvasHandlers = {
    onPointerMove: (event: PointerEvent) => {
      pointer.at = [event.clientX, event.clientY];
      if (pressing && Math.hypot(event.clientX - pressing.at[0], event.clientY - pressing.at[1]) > STILL) letGo();
    },
    onPointerLeave: () => {
      pointer.at = null;
      letGo();
    },
    onPointerDownCapture: (event: PointerEvent) => {
      letGo();
      if (event.pointerType !== "touch" || !event.isPrimary || isOver(event.target)) return;
      const [target, at] = [event.target as Element, [event.clientX, event.clientY] as Point];
      pressing = { at, timer: setTimeout(() => openMenu(target, at), LONG_PRESS) };
    },
    onPointerUp: letGo,
    onPointerCancel: letGo,
    onContextMenu: (event: MouseEvent) => {
      if (typing(event.nativeEvent) || isOver(event.target)) return;
      event.preventDefault();
      letGo();
      openMenu(event.target as Element, [event.clientX, event.clientY]);
    },
    onDoubleClick: (event: MouseEvent) => {
      const client: Point = [event.clientX, event.clientY];
      const id = far && !isOver(event.target) ? under(client) : null;
      if (id) return view()?.reveal([id]);
      if ((event.target as Element).matches(".react-flow__pane")) openDialog("quick-add", { client });
    },
    onKeyDown: (event: KeyboardEvent) => {
      const node = (event.target as Element).matches(".react-flow__node") ? (event.target as HTMLElement).dataset.id : undefined;
      if (node === undefined) return;
      if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
        const { selection, select } = useGraph.getState();
        select(event.shiftKey ? [...selection, node] : [node]);
      } else if (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) {
        const { left, top } = (event.target as Element).getBoundingClientRect();
        openMenu(event.target as Element, [left + 20, top + 20]);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    },
  };
  const flowHandlers = {
    // React Flow keeps several that are selected, as they may be about to be dragged: a mere click means this one.
    onNodeClick: (event: MouseEvent, node: Node) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      useGraph.getState().select([node.id]);
      // Text that stands for a setting can't be edited: come near enough for its field to be there.
      if (useCanvas.getState().plain && (event.target as Element).closest(".lg-sketch")) {
        view()?.approach([event.clientX, event.clientY], { left: node.position.x, width: node.width ?? 0 });
      }
    },
    onPaneClick: () => {
      cancelClick();
      useGraph.getState().select([]);
    },
    onEdgeClick: (event: MouseEvent, edge: Edge) => {
      if (event.altKey) addViaAt(edge.id, [event.clientX, event.clientY]);
    },
    onEdgeDoubleClick: (event: MouseEvent, edge: Edge) => addViaAt(edge.id, [event.clientX, event.clientY]),
  };
  return { canvas: canvasHandlers, flow: flowHandlers };
}

/** What is at a place of the window, where nodes are a drawing. */
function under(client: Point): string | null {
  const at = view()?.toGraph(client);
  return at ? hit(useGraph.getState().graph, currentSizes(), at) : null;
}

/** Whether it lies over the canvas: buttons, minimap, menu. */
function isOver(target: EventTarget): boolean {
  return target instanceof Element && target.closest(".lg-over") !== null;
}

function targetOf(target: Element, client: Point, far: string | null): MenuTarget {
  const { graph } = useGraph.getState();
  const wire = target.closest<HTMLElement>(".react-flow__edge")?.dataset.id;
  if (wire !== undefined) return { kind: "wire", id: wire, client };
  const id = far ?? target.closest<HTMLElement>(".react-flow__node")?.dataset.id;
  if (id === undefined) return { kind: "canvas", id: "", client };
  if (id in graph.groups) return { kind: "group", id, client };
  if (id in graph.notes) return { kind: "note", id, client };
  const setting = target.closest<HTMLElement>("[data-setting]")?.dataset.setting?.split(".").at(-1);
  return { kind: "node", id, client, ...(setting === undefined ? {} : { setting }) };
}
