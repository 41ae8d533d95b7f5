import { expect, test } from "vitest";
import { type Piece, nearestPiece, pathOf, pieces, pointOn } from "./curves";

test("a wire leaves to the right and arrives from the left", () => {
  const [[from, first, second, to]] = pieces([0, 0], [], [200, 100]) as [Piece];
  expect(first[0]).toBeGreaterThan(from[0]);
  expect(second[0]).toBeLessThan(to[0]);
  expect([first[1], second[1]]).toEqual([0, 100]);
});

test("it passes through its reroute points, smoothly", () => {
  const [one, two] = pieces([0, 0], [[100, 50]], [200, 0]) as [Piece, Piece];
  expect(one[3]).toEqual([100, 50]);
  expect(two[0]).toEqual([100, 50]);
  expect(one[2][1] - 50).toBeCloseTo(50 - two[1][1]);
});

test("a new reroute point goes between its neighbours", () => {
  const course = pieces([0, 0], [[100, 0]], [200, 0]);
  expect(nearestPiece(course, [30, 5])).toBe(0);
  expect(nearestPiece(course, [170, -5])).toBe(1);
});

test("ends of a piece", () => {
  const [piece] = pieces([1, 2], [], [3, 4]);
  expect(pointOn(piece!, 0)).toEqual([1, 2]);
  expect(pointOn(piece!, 1)).toEqual([3, 4]);
  expect(pathOf([piece!])).toMatch(/^M1,2C/);
});
