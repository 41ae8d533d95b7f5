/** A curve as something to draw: scaled to a field, smoothed, with the numbers for its axes. Pure. */
import type { Point } from "../types";

export interface Drawn {
  /** SVG paths of the points as they are and of their running mean, in pixels of the field. */
  raw: string;
  smooth: string;
  low: number;
  high: number;
  first: number;
  last: number;
  /** The newest point of the smooth line, in pixels, and the newest value. */
  end: Point;
  value: number;
}

/** A logarithmic scale needs values above zero. */
export function canBeLog(points: readonly Point[]): boolean {
  return points.every(([, value]) => value > 0);
}

/** Draw points (by rising step) into width x height; null with fewer than two. At most two points per pixel are drawn. */
export function draw(all: readonly Point[], width: number, height: number, log: boolean): Drawn | null {
  if (all.length < 2) return null;
  const points = thin(all, 2 * width);
  const scale = log && canBeLog(points) ? Math.log : (value: number): number => value;
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [points[0]![0], points.at(-1)![0]];
  const [bottom, top] = [scale(low), scale(high)];
  const x = (step: number): number => ((step - first) / (last - first || 1)) * width;
  const y = (value: number): number => (top === bottom ? height / 2 : height - ((scale(value) - bottom) / (top - bottom)) * height);
  const mean = smoothed(points);
  const path = (line: readonly Point[]): string => line.map(([step, value], index) => `${index ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const [step, value] = mean.at(-1)!;
  return { raw: path(points), smooth: path(mean), low, high, first, last, end: [x(step), y(value)], value: all.at(-1)![1] };
}

/** At most `most` points: of each stretch the mean, at its last step. */
export function thin(points: readonly Point[], most: number): readonly Point[] {
  const width = Math.ceil(points.length / most);
  if (width <= 1) return points;
  const kept: Point[] = [];
  for (let start = 0; start < points.length; start += width) {
    const stretch = points.slice(start, start + width);
    kept.push([stretch.at(-1)![0], stretch.reduce((sum, [, value]) => sum + value, 0) / stretch.length]);
  }
  return kept;
}

/** The exponential running mean over about a twentieth of the curve, corrected for its start. */
export function smoothed(points: readonly Point[]): Point[] {
  const keep = 1 - 1 / Math.max(1, points.length / 20);
  let sum = 0;
  let weight = 0;
  return points.map(([step, value]) => {
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return [step, sum / weight];
  });
}
