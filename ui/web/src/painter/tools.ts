/** The painter's tools, and what a pointer does with the one in hand: pure functions, places in shares of the picture. */
import type { IconName } from "../shell/icons";
import type { Point } from "../types";
import { type Layers, type Rect, type Shape, addLayer, boundsOf, changeLayer, changeShape, fitShape, movePoint, moveShape } from "./layers";

export type Tool = "select" | "box" | "polygon" | "brush" | "eraser";

export const TOOLS: { tool: Tool; title: string; key: string; icon: IconName; hint: string }[] = [
  { tool: "select", title: "Select", key: "V", icon: "cursor", hint: "Click a region, then drag it or its handles. Arrow keys move it, Del removes it." },
  { tool: "box", title: "Box", key: "B", icon: "box", hint: "Drag from corner to corner. Enter puts a box in the middle." },
  { tool: "polygon", title: "Polygon", key: "P", icon: "polygon", hint: "Click corner by corner; the first corner, a double click or Enter closes it. Esc gives up." },
  { tool: "brush", title: "Brush", key: "R", icon: "brush", hint: "Drag to paint. [ and ] change the size of the brush." },
  { tool: "eraser", title: "Eraser", key: "E", icon: "eraser", hint: "Drag over the chosen layer to take away from it. [ and ] change the size." },
];

/** Which shape of which layer is chosen; `shape` -1 where none is, `layer` -1 where there is no layer. */
export interface Choice { layer: number; shape: number }

/** The layers with one that can be drawn on, and its place: the chosen one, shown if it was hidden, else a new one. */
export function drawable(layers: Layers, chosen: number): { layers: Layers; layer: number } {
  const layer = layers[chosen];
  if (!layer) return { layers: addLayer(layers), layer: layers.length };
  return { layers: layer.hidden ? changeLayer(layers, chosen, { hidden: false }) : layers, layer: chosen };
}

// ---- handles -------------------------------------------------------------------------------------------------------

/** A place to grab a shape: a corner of a polygon, or a corner or side (-1, 0, 1 in both directions) of its rectangle. */
export interface Handle { at: Point; corner?: number; side?: [x: -1 | 0 | 1, y: -1 | 0 | 1] }

const SIDES = [[-1, -1], [0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0]] as const;

export function handlesOf(shape: Shape): Handle[] {
  if ("polygon" in shape) return shape.polygon.map((at, corner) => ({ at, corner }));
  const bounds = boundsOf([shape]);
  // A dot has no rectangle that could be stretched.
  if (!bounds || (bounds[0] === bounds[2] && bounds[1] === bounds[3])) return [];
  return SIDES.map(([x, y]) => ({ at: [middle(bounds, 0, x), middle(bounds, 1, y)], side: [x, y] }));
}

function middle(bounds: Rect, axis: 0 | 1, side: -1 | 0 | 1): number {
  return side < 0 ? bounds[axis] : side > 0 ? bounds[axis + 2]! : (bounds[axis] + bounds[axis + 2]!) / 2;
}

/** The layers after the handle of the chosen shape has been dragged to a place. */
export function dragHandle(layers: Layers, { layer, shape }: Choice, { corner, side }: Handle, to: Point): Layers {
  return changeShape(layers, layer, shape, (one) => {
    if (corner !== undefined) return movePoint(one, corner, to);
    const bounds = boundsOf([one]);
    if (!side || !bounds) return one;
    const next: Rect = [...bounds];
    for (const axis of [0, 1] as const) if (side[axis] !== 0) next[side[axis] < 0 ? axis : axis + 2] = to[axis];
    // Not flat: what has no width can't be stretched again.
    const least = 0.004;
    if (Math.abs(next[2] - next[0]) < least || Math.abs(next[3] - next[1]) < least) return one;
    return fitShape(one, bounds, next);
  });
}

export function dragShape(layers: Layers, { layer, shape }: Choice, by: Point): Layers {
  return changeShape(layers, layer, shape, (one) => moveShape(one, by));
}

// ---- strokes -------------------------------------------------------------------------------------------------------

export const SMALLEST_BRUSH = 0.005;
export const LARGEST_BRUSH = 0.5;

/** The brush a step larger or smaller: steps grow with it, so that a few keys go from fine to coarse. */
export function resizeBrush(size: number, up: boolean): number {
  const next = up ? Math.max(size * 1.25, size + 0.002) : Math.min(size / 1.25, size - 0.002);
  return Math.max(SMALLEST_BRUSH, Math.min(LARGEST_BRUSH, next));
}

/** The line with one more point, unless that is nearer to the last than `least` (a share of the width). */
export function extend(line: Point[], to: Point, least: number): Point[] {
  const last = line.at(-1);
  const point: Point = [Math.max(0, Math.min(1, to[0])), Math.max(0, Math.min(1, to[1]))];
  return last && Math.hypot(point[0] - last[0], point[1] - last[1]) < least ? line : [...line, point];
}
