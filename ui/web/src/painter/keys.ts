/** The painter's keys. A key that is none of them does nothing here and goes no further: the canvas below is not meant. */
import type { KeyboardEvent } from "react";
import { type Layers, addLayer, boundsOf, duplicateLayer, moveShape, changeShape, removeLayer, removeShape } from "./layers";
import type { StageHandle } from "./Stage";
import { type Choice, TOOLS, type Tool, drawable, resizeBrush } from "./tools";
import type { Editing } from "./work";

export interface Painter {
  editing: Editing;
  choice: Choice;
  tool: Tool;
  brush: number;
  stage: StageHandle | null;
  setTool: (tool: Tool) => void;
  setBrush: (size: number) => void;
  change: (layers: Layers, choice: Choice, merge?: string) => void;
  apply: () => void;
  close: () => void;
}

const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NUDGE = 0.01;

export function press(event: KeyboardEvent, painter: Painter): void {
  event.stopPropagation();
  const typing = event.target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  const mod = event.ctrlKey || event.metaKey;
  const done = event.key === "Escape" ? escape(event, painter, typing)
    : mod ? combination(event, painter, typing)
    : !typing && !event.altKey && plain(event, painter);
  if (done) event.preventDefault();
}

function escape(event: KeyboardEvent, { stage, close }: Painter, typing: boolean): boolean {
  if (typing && event.target instanceof HTMLElement) event.target.blur();
  else if (!stage?.abandon()) close();
  return true;
}

function combination(event: KeyboardEvent, { editing, choice, change, apply }: Painter, typing: boolean): boolean {
  const key = event.key.toLowerCase();
  if (key === "enter") apply();
  else if (typing) return false;
  else if (key === "z" && !event.shiftKey) editing.undo?.();
  else if (key === "y" || key === "z") editing.redo?.();
  else if (key === "d" && editing.work.layers[choice.layer]) change(duplicateLayer(editing.work.layers, choice.layer), { layer: choice.layer + 1, shape: -1 });
  else return key === "d";
  return true;
}

function plain(event: KeyboardEvent, painter: Painter): boolean {
  const { editing, choice, tool, brush, stage, setTool, setBrush, change } = painter;
  const { layers } = editing.work;
  const onButton = event.target instanceof HTMLButtonElement;
  const chosen = layers[choice.layer]?.shapes[choice.shape];
  const named = TOOLS.find((each) => each.key === event.key.toUpperCase());
  const arrow = ARROWS[event.key];
  if (named) setTool(named.tool);
  else if (event.key === "[" || event.key === "]") setBrush(resizeBrush(brush, event.key === "]"));
  else if (event.key === "n" || event.key === "N") change(addLayer(layers), { layer: layers.length, shape: -1 });
  else if (event.key === "+" || event.key === "=") stage?.view.zoom(1.25);
  else if (event.key === "-") stage?.view.zoom(0.8);
  else if (event.key === "0") stage?.view.fit();
  else if (event.key === " " && !onButton) stage?.pan(true);
  else if (event.key === "Enter" && !onButton) {
    if (!stage?.finish() && tool === "box") middleBox(painter);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    if (chosen) change(removeShape(layers, choice.layer, choice.shape), { layer: choice.layer, shape: -1 });
    else if (layers[choice.layer]) change(removeLayer(layers, choice.layer), { layer: Math.min(choice.layer, layers.length - 2), shape: -1 });
  } else if (arrow && chosen) {
    const far = event.shiftKey ? 5 * NUDGE : NUDGE;
    change(changeShape(layers, choice.layer, choice.shape, (shape) => moveShape(shape, [arrow[0] * far, arrow[1] * far])), choice, "nudge");
  } else return false;
  return true;
}

/** A box without a mouse: in the middle, beside the last one where there is one. */
function middleBox({ editing, choice, change, setTool }: Painter): void {
  const { layers, layer } = drawable(editing.work.layers, choice.layer);
  const before = boundsOf(layers[layer]!.shapes);
  const left = before ? Math.min(0.6, before[0] + 0.05) : 0.3;
  const top = before ? Math.min(0.6, before[1] + 0.05) : 0.3;
  const shapes = [...layers[layer]!.shapes, { box: [left, top, left + 0.4, top + 0.4] as [number, number, number, number] }];
  change(layers.map((each, place) => (place === layer ? { ...each, shapes } : each)), { layer, shape: shapes.length - 1 });
  // The arrow keys move it from here.
  setTool("select");
}
