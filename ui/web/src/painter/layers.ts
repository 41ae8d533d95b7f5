/**
 * What a region painter edits, as graph_runtime/regions.py describes it, and what can be done to it: pure functions from
 * layers to layers. The first layer is at the bottom. Places are shares of the picture's width and height, 0 to 1.
 */
import type { Json, Point } from "../types";

export interface BoxShape { box: [left: number, top: number, right: number, bottom: number]; erase?: boolean }
export interface PolygonShape { polygon: Point[]; erase?: boolean }
/** `size` is the thickness, as a share of the picture's width. */
export interface StrokeShape { stroke: Point[]; size: number; erase?: boolean }
export type Shape = BoxShape | PolygonShape | StrokeShape;

export interface Layer { prompt: string; strength: number; colour: string; hidden: boolean; shapes: Shape[] }
export type Layers = readonly Layer[];
export type Rect = [left: number, top: number, right: number, bottom: number];

/** Told apart by lightness as well as by hue, so that most colour-blind people tell them apart too. */
export const COLOURS = ["#e4572e", "#2f6fde", "#2a9d5c", "#f2b134", "#8e44ad", "#17a2b8", "#d6437e", "#7a5c3e", "#94b81f", "#5b6478"];

// ---- from and to the setting ---------------------------------------------------------------------------------------

/** The layers of a setting's value. What is not understood is left out: the server's check has said what is wrong. */
export function readLayers(value: Json): Layer[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isObject).map((layer, place) => ({
    prompt: typeof layer.prompt === "string" ? layer.prompt : "",
    strength: typeof layer.strength === "number" ? layer.strength : 1,
    colour: typeof layer.colour === "string" && /^#[0-9a-f]{6}$/i.test(layer.colour) ? layer.colour : colourAt(place),
    hidden: layer.hidden === true,
    shapes: Array.isArray(layer.shapes) ? layer.shapes.map(readShape).filter((shape) => shape !== null) : [],
  }));
}

/** The setting's value: numbers with four digits (a hundredth of a pixel), nothing that is the default but the strength. */
export function writeLayers(layers: Layers): Json {
  return layers.map(({ prompt, strength, colour, hidden, shapes }) => ({
    prompt, strength: round(strength), colour, ...(hidden ? { hidden } : {}), shapes: shapes.map(writeShape),
  }));
}

function readShape(shape: Json): Shape | null {
  if (!isObject(shape)) return null;
  const erase = shape.erase === true ? { erase: true } : {};
  const { box, polygon, stroke, size } = shape;
  if (Array.isArray(box) && box.length === 4 && box.every((part) => typeof part === "number")) return { box: box as BoxShape["box"], ...erase };
  if (isPoints(polygon) && polygon.length > 2) return { polygon, ...erase };
  if (isPoints(stroke) && stroke.length > 0 && typeof size === "number") return { stroke, size, ...erase };
  return null;
}

function writeShape(shape: Shape): Json {
  const erase: { [name: string]: Json } = shape.erase ? { erase: true } : {};
  if ("box" in shape) return { box: shape.box.map(round), ...erase };
  if ("polygon" in shape) return { polygon: shape.polygon.map((point) => point.map(round)), ...erase };
  return { stroke: shape.stroke.map((point) => point.map(round)), size: Math.max(0.0001, round(shape.size)), ...erase };
}

function isObject(value: Json): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPoints(value: Json | undefined): value is Point[] {
  return Array.isArray(value) && value.every((point) => Array.isArray(point) && point.length === 2 && point.every((part) => typeof part === "number"));
}

function round(number: number): number {
  return Math.round(number * 10_000) / 10_000;
}

// ---- layers --------------------------------------------------------------------------------------------------------

function colourAt(place: number): string {
  return COLOURS[place % COLOURS.length]!;
}

/** A new layer on top, in the first colour that no other has. */
export function addLayer(layers: Layers, prompt = ""): Layer[] {
  const colour = COLOURS.find((each) => layers.every((layer) => layer.colour !== each)) ?? colourAt(layers.length);
  return [...layers, { prompt, strength: 1, colour, hidden: false, shapes: [] }];
}

export function changeLayer(layers: Layers, index: number, change: Partial<Layer>): Layer[] {
  return layers.map((layer, place) => (place === index ? { ...layer, ...change } : layer));
}

export function removeLayer(layers: Layers, index: number): Layer[] {
  return layers.filter((_, place) => place !== index);
}

/** The copy lies above, a little to the right and down, so that both can be seen. */
export function duplicateLayer(layers: Layers, index: number): Layer[] {
  const layer = layers[index];
  if (!layer) return [...layers];
  const copy = addLayer(layers).at(-1)!;
  return [...layers.slice(0, index + 1), { ...moveLayer(layer, [0.03, 0.03]), colour: copy.colour }, ...layers.slice(index + 1)];
}

/** The layer takes the place `to` in the order, the others close up. */
export function reorder(layers: Layers, from: number, to: number): Layer[] {
  const moved = layers[from];
  if (!moved || to < 0 || to >= layers.length) return [...layers];
  const rest = removeLayer(layers, from);
  return [...rest.slice(0, to), moved, ...rest.slice(to)];
}

export function moveLayer(layer: Layer, by: Point): Layer {
  const bounds = boundsOf(layer.shapes.filter((shape) => !shape.erase));
  const kept = bounds ? within(bounds, by) : by;
  return { ...layer, shapes: layer.shapes.map((shape) => mapPoints(shape, ([x, y]) => [clip(x + kept[0]), clip(y + kept[1])])) };
}

// ---- shapes --------------------------------------------------------------------------------------------------------

export function addShape(layers: Layers, index: number, shape: Shape): Layer[] {
  return layers.map((layer, place) => (place === index ? { ...layer, shapes: [...layer.shapes, shape] } : layer));
}

export function changeShape(layers: Layers, index: number, number: number, change: (shape: Shape) => Shape): Layer[] {
  return layers.map((layer, place) => (place === index ? { ...layer, shapes: layer.shapes.map((shape, at) => (at === number ? change(shape) : shape)) } : layer));
}

/** The layer without the shape. Erasing that has nothing left to erase goes too. */
export function removeShape(layers: Layers, index: number, number: number): Layer[] {
  return layers.map((layer, place) => {
    if (place !== index) return layer;
    const shapes = layer.shapes.filter((_, at) => at !== number);
    const first = shapes.findIndex((shape) => !shape.erase);
    return { ...layer, shapes: first < 0 ? [] : shapes.slice(first) };
  });
}

/** The shape moved, but not out of the picture. */
export function moveShape(shape: Shape, by: Point): Shape {
  const bounds = boundsOf([shape]);
  const [x, y] = bounds ? within(bounds, by) : by;
  return mapPoints(shape, (point) => [clip(point[0] + x), clip(point[1] + y)]);
}

/** The shape stretched so that what filled `from` fills `to`. */
export function fitShape(shape: Shape, from: Rect, to: Rect): Shape {
  const along = (value: number, axis: 0 | 1) => {
    const length = from[axis + 2]! - from[axis]!;
    return clip(to[axis]! + (length > 0 ? (value - from[axis]!) / length : 0) * (to[axis + 2]! - to[axis]!));
  };
  return mapPoints(shape, ([x, y]) => [along(x, 0), along(y, 1)]);
}

export function movePoint(shape: Shape, number: number, to: Point): Shape {
  if (!("polygon" in shape)) return shape;
  return { ...shape, polygon: shape.polygon.map((point, place) => (place === number ? [clip(to[0]), clip(to[1])] : point)) };
}

/** The box between two corners, whichever they are; null where it has no area. */
export function boxBetween(a: Point, b: Point): BoxShape | null {
  const box: Rect = [clip(Math.min(a[0], b[0])), clip(Math.min(a[1], b[1])), clip(Math.max(a[0], b[0])), clip(Math.max(a[1], b[1]))];
  return box[2] - box[0] < 0.002 || box[3] - box[1] < 0.002 ? null : { box };
}

export function pointsOf(shape: Shape): Point[] {
  if ("box" in shape) return [[shape.box[0], shape.box[1]], [shape.box[2], shape.box[3]]];
  return "polygon" in shape ? shape.polygon : shape.stroke;
}

/** The rectangle around the points of shapes, without a stroke's thickness; null without any shape. */
export function boundsOf(shapes: readonly Shape[]): Rect | null {
  const points = shapes.flatMap(pointsOf);
  if (points.length === 0) return null;
  // A loop and not Math.min(...): a stroke may have more points than a call may have arguments.
  const bounds: Rect = [1, 1, 0, 0];
  for (const [x, y] of points) {
    bounds[0] = Math.min(bounds[0], x);
    bounds[1] = Math.min(bounds[1], y);
    bounds[2] = Math.max(bounds[2], x);
    bounds[3] = Math.max(bounds[3], y);
  }
  return bounds;
}

/** The topmost visible shape under a point, erasing ones left out. `aspect` is height by width, `near` a share of the width. */
export function hit(layers: Layers, at: Point, aspect: number, near: number): { layer: number; shape: number } | null {
  for (let layer = layers.length - 1; layer >= 0; layer -= 1) {
    const { shapes, hidden } = layers[layer]!;
    if (hidden) continue;
    let erased = false;
    for (let shape = shapes.length - 1; shape >= 0; shape -= 1) {
      const one = shapes[shape]!;
      if (!covers(one, at, aspect, one.erase ? 0 : near)) continue;
      if (!one.erase && !erased) return { layer, shape };
      erased ||= one.erase === true;
    }
  }
  return null;
}

function covers(shape: Shape, at: Point, aspect: number, near: number): boolean {
  if ("box" in shape) return at[0] >= shape.box[0] && at[0] <= shape.box[2] && at[1] >= shape.box[1] && at[1] <= shape.box[3];
  if ("polygon" in shape) return inside(shape.polygon, at);
  const radius = shape.size / 2 + near;
  return shape.stroke.some((point, place) => distance(at, point, shape.stroke[place + 1] ?? point, aspect) <= radius);
}

function inside(corners: Point[], [x, y]: Point): boolean {
  let within = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i, i += 1) {
    const [ax, ay] = corners[i]!;
    const [bx, by] = corners[j]!;
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}

/** From a point to a piece of line, in shares of the width. */
function distance([x, y]: Point, [ax, ay]: Point, [bx, by]: Point, aspect: number): number {
  const [dx, dy, px, py] = [bx - ax, (by - ay) * aspect, x - ax, (y - ay) * aspect];
  const length = dx * dx + dy * dy;
  const along = length > 0 ? Math.max(0, Math.min(1, (px * dx + py * dy) / length)) : 0;
  return Math.hypot(px - along * dx, py - along * dy);
}

function mapPoints(shape: Shape, change: (point: Point) => Point): Shape {
  if ("polygon" in shape) return { ...shape, polygon: shape.polygon.map(change) };
  if ("stroke" in shape) return { ...shape, stroke: shape.stroke.map(change) };
  const a = change([shape.box[0], shape.box[1]]);
  const b = change([shape.box[2], shape.box[3]]);
  return { ...shape, box: [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])] };
}

function within(bounds: Rect, [x, y]: Point): Point {
  return [Math.max(-bounds[0], Math.min(1 - bounds[2], x)), Math.max(-bounds[1], Math.min(1 - bounds[3], y))];
}

export function clip(share: number): number {
  return Math.max(0, Math.min(1, share));
}
