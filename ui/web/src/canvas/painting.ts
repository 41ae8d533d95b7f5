/** Drawing a whole graph small, onto a <canvas>: for the overview (far zoomed out) and for the minimap. */
import type { Catalog, Graph, NodeState, Point } from "../types";
import { categoryColour } from "./colours";
import type { Sizes } from "./geometry";

export interface Look { card: string; line: string; text: string; accent: string; bad: string; good: string; running: string; quiet: string }

/** The theme's colours, as a <canvas> needs them. */
export function lookOf(element: Element): Look {
  const style = getComputedStyle(element);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  return {
    card: read("--raised"), line: read("--line-strong"), text: read("--text"), accent: read("--accent"), bad: read("--bad"), good: read("--good"),
    running: read("--accent"), quiet: read("--quiet"),
  };
}

/** Everything of a graph as shapes, each colour one path: made once per graph, painted at any place and zoom. */
export interface Drawing { groups: [Path2D, string][]; notes: [Path2D, string][]; wires: [Path2D, string][]; cards: Path2D; heads: [Path2D, string][] }

const HEAD = 64;

/** `heads`: the coloured part of a card; the whole card where it is Infinity, as on a minimap. */
export function draw(graph: Graph, catalog: Catalog, size: Sizes, head = HEAD): Drawing {
  const wires = new Map<string, Path2D>();
  const heads = new Map<string, Path2D>();
  const cards = new Path2D();
  for (const wire of graph.wires) {
    const [from, to] = [graph.nodes[wire.from], graph.nodes[wire.to]];
    if (!from || !to) continue;
    const type = catalog.nodes[from.type]?.outputs.find((output) => output.name === wire.output)?.type ?? "";
    const path = pathFor(wires, catalog.values[type]?.colour ?? "#888888");
    path.moveTo(from.at[0] + size(from.id)[0], from.at[1] + HEAD);
    for (const [x, y] of wire.via) path.lineTo(x, y);
    path.lineTo(to.at[0], to.at[1] + HEAD);
  }
  for (const node of Object.values(graph.nodes)) {
    const [width, height] = size(node.id);
    const type = catalog.nodes[node.type];
    cards.rect(...node.at, width, height);
    pathFor(heads, type ? categoryColour(type.category) : "#c0392b").rect(...node.at, width, Math.min(head, height));
  }
  return {
    groups: Object.values(graph.groups).map((group) => [rect(group.at, group.size), group.colour]),
    notes: Object.values(graph.notes).map((note) => [rect(note.at, note.size), note.colour]),
    wires: coloured(wires), cards, heads: coloured(heads),
  };
}

function pathFor(paths: Map<string, Path2D>, colour: string): Path2D {
  const path = paths.get(colour) ?? new Path2D();
  paths.set(colour, path);
  return path;
}

function coloured(paths: Map<string, Path2D>): [Path2D, string][] {
  return [...paths].map(([colour, path]) => [path, colour]);
}

function rect(at: Point, size: Point): Path2D {
  const path = new Path2D();
  path.rect(...at, ...size);
  return path;
}

/** Paint at a transform ([x, y, zoom], as React Flow has it) for a screen of so many pixels per CSS pixel. */
export function paint(context: CanvasRenderingContext2D, drawing: Drawing, [x, y, zoom]: readonly [number, number, number], ratio: number, look: Look): void {
  const { canvas } = context;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(zoom * ratio, 0, 0, zoom * ratio, x * ratio, y * ratio);
  for (const [path, colour] of [...drawing.groups, ...drawing.notes]) {
    context.globalAlpha = 0.16;
    context.fillStyle = colour;
    context.fill(path);
  }
  context.globalAlpha = 0.75;
  context.lineWidth = Math.max(2, 1.1 / zoom);
  for (const [path, colour] of drawing.wires) {
    context.strokeStyle = colour;
    context.stroke(path);
  }
  context.globalAlpha = 1;
  context.fillStyle = look.card;
  context.fill(drawing.cards);
  for (const [path, colour] of drawing.heads) {
    context.fillStyle = colour;
    context.fill(path);
  }
}

/** Frames around nodes: what is selected, and how the run stands with each. */
export function frames(
  context: CanvasRenderingContext2D, graph: Graph, size: Sizes, selection: ReadonlySet<string>, state: (id: string) => NodeState | undefined, zoom: number, look: Look,
): void {
  const colours: Partial<Record<NodeState, string>> = { running: look.running, failed: look.bad, done: look.good, cached: look.good };
  const outline = (id: string, colour: string, width: number): void => {
    const item = graph.nodes[id] ?? graph.groups[id] ?? graph.notes[id];
    if (!item) return;
    context.strokeStyle = colour;
    context.lineWidth = width / zoom;
    context.strokeRect(...item.at, ...size(id));
  };
  for (const id of Object.keys(graph.nodes)) {
    const colour = colours[state(id) ?? "waiting"];
    if (colour) outline(id, colour, 2);
  }
  for (const id of selection) outline(id, look.accent, 2.5);
}
