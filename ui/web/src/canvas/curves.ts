/**
 * The course of a wire: a smooth line from an output through the reroute points to an input. It leaves to the right and
 * arrives from the left; in a reroute point it runs along the line between its neighbours.
 */
import type { Point } from "../types";

/** A cubic Bézier curve: from, two handles, to. */
export type Piece = [Point, Point, Point, Point];

export function pieces(from: Point, via: readonly Point[], to: Point): Piece[] {
  const points = [from, ...via, to];
  return points.slice(1).map((end, index) => {
    const start = points[index]!;
    const reach = index === 0 || index === points.length - 2 ? bend(start, end) : 0;
    const first: Point = index === 0 ? [start[0] + reach, start[1]] : along(start, points[index - 1]!, end, 1);
    const second: Point = index === points.length - 2 ? [end[0] - reach, end[1]] : along(end, start, points[index + 2]!, -1);
    return [start, first, second, end];
  });
}

export function pathOf(course: readonly Piece[]): string {
  const start = course[0]![0];
  return `M${at(start)}${course.map(([, first, second, end]) => `C${at(first)} ${at(second)} ${at(end)}`).join("")}`;
}

/** The number of the piece that passes nearest to a place: where a new reroute point belongs among the others. */
export function nearestPiece(course: readonly Piece[], [x, y]: Point): number {
  let best = 0;
  let least = Infinity;
  for (const [index, piece] of course.entries()) {
    for (let step = 0; step <= 16; step++) {
      const [px, py] = pointOn(piece, step / 16);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [least, best] = [distance, index];
    }
  }
  return best;
}

/** The place after a share (0..1) of a piece. */
export function pointOn([a, b, c, d]: Piece, share: number): Point {
  const rest = 1 - share;
  const mix = (axis: 0 | 1): number =>
    rest ** 3 * a[axis] + 3 * rest ** 2 * share * b[axis] + 3 * rest * share ** 2 * c[axis] + share ** 3 * d[axis];
  return [mix(0), mix(1)];
}

/** How far a wire runs straight on before it turns: half the way, more where it has to come back. */
function bend([x1, y1]: Point, [x2, y2]: Point): number {
  const across = x2 - x1;
  const straight = Math.min(60, Math.abs(y2 - y1) / 2 + 10);
  return across >= 0 ? Math.max(across / 2, straight) : Math.min(straight + Math.sqrt(-across) * 6, 260);
}

function along(point: Point, before: Point, after: Point, sign: 1 | -1): Point {
  return [point[0] + (sign * (after[0] - before[0])) / 6, point[1] + (sign * (after[1] - before[1])) / 6];
}

function at([x, y]: Point): string {
  return `${Math.round(x * 10) / 10},${Math.round(y * 10) / 10}`;
}
