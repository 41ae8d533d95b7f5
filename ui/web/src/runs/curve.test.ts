import { describe, expect, it } from "vitest";
import type { Point } from "../types";
import { canBeLog, draw, smoothed, thin } from "./curve";

const LINE: Point[] = [[0, 4], [10, 2], [20, 1]];

describe("a curve", () => {
  it("fills its field from the first step to the last, the highest value on top", () => {
    const drawn = draw(LINE, 100, 50, false)!;
    expect(drawn.raw).toBe("M0.0 0.0L50.0 33.3L100.0 50.0");
    expect(drawn).toMatchObject({ low: 1, high: 4, first: 0, last: 20, value: 1 });
  });
  it("is a straight line on a logarithmic scale when it halves each time", () => {
    expect(draw(LINE, 100, 50, true)!.raw).toBe("M0.0 0.0L50.0 25.0L100.0 50.0");
    expect(canBeLog([[0, 0]])).toBe(false);
  });
  it("lies in the middle when all its values are the same", () => {
    expect(draw([[1, 3], [2, 3]], 10, 10, false)!.raw).toBe("M0.0 5.0L10.0 5.0");
  });
  it("needs two points", () => expect(draw([[1, 1]], 10, 10, false)).toBeNull());
});

it("is thinned to means and keeps its last step", () => {
  const many: Point[] = Array.from({ length: 1000 }, (_, step) => [step, step % 2]);
  const few = thin(many, 100);
  expect(few.length).toBe(100);
  expect(few.at(-1)).toEqual([999, 0.5]);
});

it("is smoothed without a false start, and a short one not at all", () => {
  expect(smoothed(LINE)).toEqual(LINE);
  const flat: Point[] = Array.from({ length: 200 }, (_, step) => [step, 7]);
  for (const [, value] of smoothed(flat)) expect(value).toBeCloseTo(7);
});
