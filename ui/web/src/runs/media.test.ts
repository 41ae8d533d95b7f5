import { describe, expect, it } from "vitest";
import { hasMedia, tiling, withMedia } from "./media";
import { WAITING } from "./reduce";

describe("a node has something to show", () => {
  it("while it counts steps, and not before or after if nothing is left of it", () => {
    expect(hasMedia(WAITING, undefined)).toBe(false);
    expect(hasMedia({ ...WAITING, state: "running", total: 10 }, undefined)).toBe(true);
    expect(hasMedia({ ...WAITING, state: "done", total: 10 }, [])).toBe(false);
  });
  it("with a preview, a curve or a result", () => {
    expect(hasMedia({ ...WAITING, preview: "/p.png" }, undefined)).toBe(true);
    expect(hasMedia({ ...WAITING, curves: { loss: [[1, 1], [2, 1]] } }, undefined)).toBe(true);
    expect(hasMedia(undefined, [{ kind: "file", name: "a", path: "/a", size: 1 }])).toBe(true);
  });
});

it("is the same set as long as its members are the same", () => {
  const running = { ...WAITING, state: "running" as const, total: 10 };
  const first = withMedia({ nodes: { a: { ...running, step: 1 }, b: WAITING }, results: {} });
  const second = withMedia({ nodes: { a: { ...running, step: 2 }, b: WAITING }, results: {} });
  expect(second).toBe(first);
  expect([...second]).toEqual(["a"]);
  expect([...withMedia({ nodes: { a: running, b: running }, results: {} })]).toEqual(["a", "b"]);
});

describe("tiles", () => {
  it.each([[1, 260, 140], [2, 260, 140], [4, 260, 140], [20, 260, 140], [500, 260, 140]])("%d of them fit into their field", (count, width, height) => {
    const { columns, side, shown } = tiling(count, width, height, 4, 40);
    const rows = Math.ceil(shown / columns);
    expect(columns * side + 4 * (columns - 1)).toBeLessThanOrEqual(width);
    expect(rows * side + 4 * (rows - 1)).toBeLessThanOrEqual(height);
    expect(side).toBeGreaterThanOrEqual(40);
    expect(shown).toBeLessThanOrEqual(count);
  });
});
