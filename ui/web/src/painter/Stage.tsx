/**
 * The picture that is painted on. What a gesture makes is shown at once, and handed over when the pointer is lifted, so that
 * it is one step. Two fingers, the wheel and the space bar move the view and never paint.
 */
import { type PointerEvent, type Ref, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from "react";
import type { Point } from "../types";
import { type Frame, paint } from "./draw";
import { type Layers, type Shape, addShape, boxBetween, hit } from "./layers";
import { drawBrush, drawHandles, drawOpen } from "./overlay";
import { type Choice, type Handle, type Tool, dragHandle, dragShape, drawable, extend, handlesOf } from "./tools";
import { type StageView, useStageView } from "./view";

export interface StageProps {
  layers: Layers;
  choice: Choice;
  tool: Tool;
  /** The brush's thickness, a share of the width. */
  brush: number;
  size: Point;
  picture: HTMLImageElement | null;
  onChoose: (choice: Choice) => void;
  onChange: (layers: Layers, choice: Choice) => void;
  stage: Ref<StageHandle>;
}

/** What keys and buttons outside of the stage do with it. */
export interface StageHandle {
  view: StageView;
  /** Close the polygon that is being drawn, or give it up; false where there is none. */
  finish(): boolean;
  abandon(): boolean;
  pan(on: boolean): void;
}

type Gesture =
  | { kind: "box"; from: Point; layers: Layers; layer: number }
  | { kind: "stroke"; layers: Layers; layer: number; line: Point[]; erase: boolean }
  | { kind: "move"; from: Point; choice: Choice }
  | { kind: "handle"; handle: Handle; choice: Choice }
  | { kind: "pan"; from: Point };

/** How near, in pixels, counts as on it. */
const NEAR = { mouse: 7, pen: 10, touch: 18 };

export function Stage({ layers, choice, tool, brush, size, picture, onChoose, onChange, stage }: StageProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const view = useStageView(canvas, size);
  const [draft, setDraft] = useState<Layers | null>(null);
  // The pointer may be lifted before the last movement has been drawn.
  const latest = useRef<Layers | null>(null);
  const [corners, setCorners] = useState<{ tool: Tool; points: Point[] }>({ tool, points: [] });
  const [pointer, setPointer] = useState<Point | null>(null);
  const [panning, setPanning] = useState(false);
  const gesture = useRef<Gesture | null>(null);
  const fingers = useRef(new Map<number, Point>());
  const { frame } = view;
  const shown = draft ?? layers;
  const aspect = size[1] / size[0];
  // Corners of a polygon are those of the tool in hand: another tool gives them up.
  const open = corners.tool === tool ? corners.points : [];

  const show = (next: Layers | null) => {
    latest.current = next;
    setDraft(next);
  };
  const toShare = ([x, y]: Point): Point => [(x - frame.x) / frame.width, (y - frame.y) / frame.height];
  const put = (shape: Shape) => {
    const ready = drawable(layers, choice.layer);
    const next = addShape(ready.layers, ready.layer, shape);
    onChange(next, { layer: ready.layer, shape: next[ready.layer]!.shapes.length - 1 });
  };
  const finish = () => {
    if (open.length === 0) return false;
    if (open.length > 2) put({ polygon: open });
    setCorners({ tool, points: [] });
    return true;
  };
  const abandon = () => {
    const busy = open.length > 0 || draft !== null;
    setCorners({ tool, points: [] });
    show(null);
    gesture.current = null;
    return busy;
  };
  useImperativeHandle(stage, () => ({ view, finish, abandon, pan: setPanning }));

  const down = (event: PointerEvent<HTMLCanvasElement>) => {
    canvas.current?.focus({ preventScroll: true });
    const pixel = pixelOf(event);
    event.currentTarget.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") fingers.current.set(event.pointerId, pixel);
    if (fingers.current.size > 1) {
      show(null);
      gesture.current = null;
      return;
    }
    if (event.button === 1 || panning) {
      gesture.current = { kind: "pan", from: pixel };
      event.preventDefault();
    } else if (event.button === 0) begin(toShare(pixel), NEAR[event.pointerType as keyof typeof NEAR] ?? NEAR.mouse);
  };
  const begin = (at: Point, near: number) => {
    if (tool === "select") {
      const shape = layers[choice.layer]?.shapes[choice.shape];
      const handle = shape && handlesOf(shape).find((each) => apart(each.at, at, frame) <= near + 2);
      if (handle) gesture.current = { kind: "handle", handle, choice };
      else {
        const found = hit(layers, at, aspect, near / frame.width);
        onChoose(found ?? { layer: choice.layer, shape: -1 });
        if (found) gesture.current = { kind: "move", from: at, choice: found };
      }
    } else if (tool === "polygon") {
      const first = open[0];
      if (first && open.length > 2 && apart(first, at, frame) <= near + 3) finish();
      else setCorners({ tool, points: extend(open, at, 0) });
    } else if (tool === "box") gesture.current = { kind: "box", from: at, ...drawable(layers, choice.layer) };
    else if (tool === "brush" || layers[choice.layer]) {
      gesture.current = { kind: "stroke", ...drawable(layers, choice.layer), line: [], erase: tool === "eraser" };
      go(at);
    }
  };
  const move = (event: PointerEvent<HTMLCanvasElement>) => {
    const pixel = pixelOf(event);
    const before = fingers.current.get(event.pointerId);
    if (before && fingers.current.size > 1) {
      const others = [...fingers.current].find(([id]) => id !== event.pointerId);
      if (others) view.pinch(others[1], before, pixel);
      fingers.current.set(event.pointerId, pixel);
      return;
    }
    if (before) fingers.current.set(event.pointerId, pixel);
    setPointer(toShare(pixel));
    // Every place that the pointer has been at, not only the last one in this frame.
    const places = gesture.current?.kind === "stroke" ? event.nativeEvent.getCoalescedEvents?.() ?? [] : [];
    for (const place of places.length > 0 ? places : [event.nativeEvent]) go(toShare(pixelIn(event.currentTarget, place)));
  };
  const go = (at: Point) => {
    const now = gesture.current;
    if (now?.kind === "box") {
      const box = boxBetween(now.from, at);
      show(box ? addShape(now.layers, now.layer, box) : null);
    } else if (now?.kind === "stroke") {
      now.line = extend(now.line, at, 2 / frame.width);
      show(addShape(now.layers, now.layer, { stroke: now.line, size: brush, ...(now.erase ? { erase: true } : {}) }));
    } else if (now?.kind === "move") show(dragShape(layers, now.choice, [at[0] - now.from[0], at[1] - now.from[1]]));
    else if (now?.kind === "handle") show(dragHandle(layers, now.choice, now.handle, at));
    else if (now?.kind === "pan") {
      const [x, y]: Point = [frame.x + at[0] * frame.width, frame.y + at[1] * frame.height];
      view.move([x - now.from[0], y - now.from[1]]);
      now.from = [x, y];
    }
  };
  const up = (event: PointerEvent<HTMLCanvasElement>) => {
    fingers.current.delete(event.pointerId);
    const now = gesture.current;
    const made = latest.current;
    gesture.current = null;
    show(null);
    if (!now || !made || now.kind === "pan") return;
    if (now.kind === "move" || now.kind === "handle") onChange(made, now.choice);
    else onChange(made, { layer: now.layer, shape: now.kind === "stroke" && now.erase ? -1 : made[now.layer]!.shapes.length - 1 });
  };

  useEffect(() => {
    const element = canvas.current!;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const pixel = pixelIn(element, event);
      // A trackpad's pinch comes as a wheel with Ctrl; a plain wheel zooms too, and Shift makes it go sideways.
      if (event.shiftKey) view.move([-event.deltaY - event.deltaX, 0]);
      else view.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), pixel);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  });

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const fine = devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    context.setTransform(fine, 0, 0, fine, 0, 0);
    paint(context, frame, shown, picture, { paper: "#ffffff", labels: true });
    if (open.length > 0) drawOpen(context, frame, open, pointer);
    const chosen = shown[choice.layer];
    const shape = chosen?.hidden ? undefined : chosen?.shapes[choice.shape];
    if (tool === "select" && shape) drawHandles(context, frame, shape);
    if ((tool === "brush" || tool === "eraser") && pointer && !panning) drawBrush(context, frame, pointer, brush);
  });

  const cursor = panning ? "grab" : tool === "select" ? "default" : tool === "brush" || tool === "eraser" ? "none" : "crosshair";
  return (
    <canvas
      ref={canvas} className="lg-stage" tabIndex={0} aria-label="Regions of the picture" data-testid="painter-stage" style={{ cursor }}
      onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={() => { fingers.current.clear(); abandon(); }}
      onPointerLeave={() => setPointer(null)} onDoubleClick={() => { if (tool === "polygon") finish(); }} onContextMenu={(event) => event.preventDefault()}
    />
  );
}

function pixelOf(event: PointerEvent<HTMLCanvasElement>): Point {
  return pixelIn(event.currentTarget, event);
}

function pixelIn(element: HTMLElement, { clientX, clientY }: { clientX: number; clientY: number }): Point {
  const { left, top } = element.getBoundingClientRect();
  return [clientX - left, clientY - top];
}

function apart(a: Point, b: Point, { width, height }: Frame): number {
  return Math.hypot((a[0] - b[0]) * width, (a[1] - b[1]) * height);
}
