import { expect, test } from "vitest";
import type { Point } from "../types";
import { addNote, group } from "./arrange";
import { example } from "./example";
import { laidOut } from "./layout";
import { addVia, place } from "./operations";

const size = (id: string): Point => (id.startsWith("#") ? [240, 130] : [280, 100]);

test("nodes go from left to right as the wires run, and none covers another", async () => {
  const graph = await laidOut(example(), null, size);
  for (const wire of graph.wires) expect(graph.nodes[wire.from]!.at[0]).toBeLessThan(graph.nodes[wire.to]!.at[0]);
  const nodes = Object.values(graph.nodes);
  for (const one of nodes) {
    const covering = nodes.filter((other) => other !== one && Math.abs(other.at[0] - one.at[0]) < 280 && Math.abs(other.at[1] - one.at[1]) < 100);
    expect(covering).toEqual([]);
  }
});

test("only the chosen nodes move, and stay about where they were", async () => {
  const before = place(example(), new Map<string, Point>([["draw", [5000, 700]], ["save", [5010, 650]]]));
  const graph = await laidOut(before, ["draw", "save"], size);
  expect(graph.nodes.base).toBe(before.nodes.base);
  expect(graph.nodes.draw!.at[0]).toBe(5000);
  expect(graph.nodes.save!.at[0]).toBeGreaterThan(5280);
});

test("groups stay around what they held; reroute points go; covered notes move away", async () => {
  let before = group(example(), ["draw", "save"], size);
  before = addNote(addVia(before, "draw.images→save.images", 0, [1, 1]), [0, 0], "covered");
  const graph = await laidOut(before, null, size);
  const box = graph.groups["#g1"]!;
  for (const id of ["draw", "save"]) {
    const [x, y] = graph.nodes[id]!.at;
    expect([x > box.at[0], y > box.at[1], x + 280 < box.at[0] + box.size[0], y + 100 < box.at[1] + box.size[1]]).toEqual([true, true, true, true]);
  }
  expect(graph.wires.every((wire) => wire.via.length === 0)).toBe(true);
  expect(graph.notes["#n1"]!.at[1]).toBeLessThan(-130);
});
