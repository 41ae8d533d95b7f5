/** Drawing layers onto a canvas: the small picture on the node and the painter's stage are drawn by the same lines. */
import { type Layer, type Layers, type Shape, boundsOf } from "./layers";

/** A rectangle of the canvas, in its own pixels, that shows the whole picture. */
export interface Frame { x: number; y: number; width: number; height: number }

let spare: HTMLCanvasElement | null = null;

export interface Marks { paper: string; text: string; labels: boolean }

/** Draw picture, then layers from the bottom up, the regions half transparent and each with its prompt. */
export function paint(
  context: CanvasRenderingContext2D, frame: Frame, layers: Layers, picture: CanvasImageSource | null, { paper, labels }: Pick<Marks, "paper" | "labels">,
): void {
  // Before it is measured, the painter's stage has no size; there is nothing to draw on then.
  if (context.canvas.width === 0 || context.canvas.height === 0) return;
  context.fillStyle = paper;
  context.fillRect(frame.x, frame.y, frame.width, frame.height);
  if (picture) context.drawImage(picture, frame.x, frame.y, frame.width, frame.height);
  context.save();
  context.beginPath();
  context.rect(frame.x, frame.y, frame.width, frame.height);
  context.clip();
  for (const layer of layers) if (!layer.hidden) paintLayer(context, frame, layer);
  context.restore();
  if (labels) for (const layer of layers) if (!layer.hidden) label(context, frame, layer);
}

/** Region by region on a spare canvas, since erasing must not reach what lies below. */
function paintLayer(context: CanvasRenderingContext2D, frame: Frame, layer: Layer): void {
  if (layer.shapes.length === 0) return;
  spare ??= document.createElement("canvas");
  const { width, height } = context.canvas;
  if (spare.width !== width || spare.height !== height) Object.assign(spare, { width, height });
  const own = spare.getContext("2d")!;
  own.setTransform(1, 0, 0, 1, 0, 0);
  own.clearRect(0, 0, width, height);
  own.setTransform(context.getTransform());
  for (const shape of layer.shapes) {
    own.globalCompositeOperation = shape.erase ? "destination-out" : "source-over";
    fill(own, frame, shape, layer.colour);
  }
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 0.5;
  context.drawImage(spare, 0, 0);
  context.restore();
  context.save();
  context.strokeStyle = layer.colour;
  context.lineWidth = 1.5;
  for (const shape of layer.shapes) {
    if (shape.erase || "stroke" in shape) continue;
    trace(context, frame, shape);
    context.stroke();
  }
  context.restore();
}

function fill(context: CanvasRenderingContext2D, frame: Frame, shape: Shape, colour: string): void {
  trace(context, frame, shape);
  if ("stroke" in shape) {
    context.strokeStyle = colour;
    context.lineWidth = shape.size * frame.width;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.stroke();
  } else {
    context.fillStyle = colour;
    context.fill();
  }
}

/** Make the shape the context's path. */
export function trace(context: CanvasRenderingContext2D, { x, y, width, height }: Frame, shape: Shape): void {
  context.beginPath();
  if ("box" in shape) {
    const [left, top, right, bottom] = shape.box;
    context.rect(x + left * width, y + top * height, (right - left) * width, (bottom - top) * height);
    return;
  }
  const points = "polygon" in shape ? shape.polygon : shape.stroke;
  points.forEach(([px, py], place) => (place === 0 ? context.moveTo(x + px * width, y + py * height) : context.lineTo(x + px * width, y + py * height)));
  if ("polygon" in shape) context.closePath();
  // A line to where it begins: a dot, round as its ends are.
  else if (points.length === 1) context.lineTo(x + points[0]![0] * width, y + points[0]![1] * height);
}

function label(context: CanvasRenderingContext2D, { x, y, width, height }: Frame, layer: Layer): void {
  const bounds = boundsOf(layer.shapes.filter((shape) => !shape.erase));
  if (!bounds || !layer.prompt) return;
  context.save();
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const text = layer.prompt.length > 32 ? `${layer.prompt.slice(0, 31)}…` : layer.prompt;
  const wide = context.measureText(text).width + 12;
  const left = Math.max(x, Math.min(x + bounds[0] * width, x + width - wide));
  const top = Math.max(y, Math.min(y + bounds[1] * height, y + height - 20));
  context.fillStyle = layer.colour;
  context.fillRect(left, top, wide, 20);
  context.fillStyle = inkOn(layer.colour);
  context.fillText(text, left + 6, top + 10.5);
  context.restore();
}

/** Black or white, whichever is read better on the colour (WCAG 2.2, relative luminance). */
export function inkOn(colour: string): string {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const light = 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
  return light > 0.179 ? "#000000" : "#ffffff";
}
