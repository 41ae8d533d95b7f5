import { expect, it } from "vitest";
import { back, forth, step } from "./work";

const start = { past: [], now: { layers: [], width: 0, height: 0, background: "" }, future: [], merging: null };

it("a change is one step, and a drag is one step too", () => {
  const typed = step(step(start, { width: 6 }, "width"), { width: 64 }, "width");
  expect(typed.past).toHaveLength(1);
  expect(step(typed, { width: 640 }).past).toHaveLength(2);
});

it("undo and redo go back and forth, and a new change ends the redo", () => {
  const wide = step(start, { width: 640 });
  expect(back(wide).now).toBe(start.now);
  expect(forth(back(wide)).now).toBe(wide.now);
  expect(step(back(wide), { height: 8 }).future).toEqual([]);
  expect(back(start)).toBe(start);
  expect(forth(start)).toBe(start);
});
