/** What lies over the layers while they are worked on: handles, the polygon that is not closed yet, the brush. */
import type { Point } from "../types";
import { type Frame, trace } from "./draw";
import type { Shape } from "./layers";
import { handlesOf } from "./tools";

const CHOSEN = "#2457d6";

export function drawHandles(context: CanvasRenderingContext2D, frame: Frame, shape: Shape): void {
  // White below blue: seen on every colour.
  for (const [colour, width, dash] of [["#ffffff", 3, []], [CHOSEN, 1.5, [5, 4]]] as const) {
    trace(context, frame, shape);
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.setLineDash([...dash]);
    context.stroke();
  }
  context.setLineDash([]);
  for (const { at } of handlesOf(shape)) {
    context.fillStyle = "#ffffff";
    context.strokeStyle = CHOSEN;
    context.lineWidth = 1.5;
    context.fillRect(frame.x + at[0] * frame.width - 4, frame.y + at[1] * frame.height - 4, 8, 8);
    context.strokeRect(frame.x + at[0] * frame.width - 4, frame.y + at[1] * frame.height - 4, 8, 8);
  }
}

export function drawOpen(context: CanvasRenderingContext2D, frame: Frame, points: Point[], pointer: Point | null): void {
  const line = pointer ? [...points, pointer] : points;
  for (const [colour, width] of [["#ffffff", 4], [CHOSEN, 2]] as const) {
    context.beginPath();
    line.forEach(([x, y], place) => (place === 0 ? context.moveTo(frame.x + x * frame.width, frame.y + y * frame.height) : context.lineTo(frame.x + x * frame.width, frame.y + y * frame.height)));
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.stroke();
  }
  const first = points[0]!;
  context.beginPath();
  context.arc(frame.x + first[0] * frame.width, frame.y + first[1] * frame.height, 6, 0, 2 * Math.PI);
  context.fillStyle = "#ffffff";
  context.fill();
  context.stroke();
}

export function drawBrush(context: CanvasRenderingContext2D, frame: Frame, at: Point, size: number): void {
  for (const [colour, width] of [["#ffffff", 3], ["#1b2130", 1]] as const) {
    context.beginPath();
    context.arc(frame.x + at[0] * frame.width, frame.y + at[1] * frame.height, (size * frame.width) / 2, 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.stroke();
  }
}
