import { expect, test } from "vitest";
import type { Point } from "../types";
import { addNote, align, contents, distribute, editNote, group, ungroup, withContents } from "./arrange";
import { CATALOG, example } from "./example";
import { sizes } from "../canvas/geometry";
import { place } from "./operations";

const fixed = (): Point => [100, 50];

test("a group goes around what was chosen, and holds it", () => {
  const graph = group(example(), ["base", "data"], fixed);
  expect(graph.groups["#g1"]).toMatchObject({ at: [-24, -60], size: [548, 134] });
  expect(contents(graph, "#g1", sizesWith(graph)).sort()).toEqual(["base", "data"]);
  expect(ungroup(graph, ["#g1"]).groups).toEqual({});
});

test("a smaller group moves with the group that it lies in", () => {
  const inner = group(example(), ["base"], fixed);
  const graph = group(inner, ["base", "data", "#g1"], sizesWith(inner));
  expect([...withContents(graph, ["#g2"], sizesWith(graph))].sort()).toEqual(["#g1", "#g2", "base", "data"]);
  expect([...withContents(graph, ["data"], sizesWith(graph))]).toEqual(["data"]);
});

test("notes are added and edited", () => {
  const graph = editNote(addNote(example(), [3, 4]), "#n1", { text: "Look here" });
  expect(graph.notes["#n1"]).toMatchObject({ at: [3, 4], text: "Look here" });
  expect(editNote(graph, "#n9", { text: "" })).toBe(graph);
});

test.each([
  ["left", [0, 0]], ["centre", [200, 0]], ["right", [400, 0]], ["top", [0, 0]], ["middle", [0, 150]], ["bottom", [0, 300]],
] as const)("aligning %s", (way, at) => {
  const graph = place(example(), new Map<string, Point>([["base", [0, 0]], ["data", [400, 300]]]));
  expect(align(graph, ["base", "data"], way, fixed).nodes.base!.at).toEqual(at);
});

test("aligning one node changes nothing", () => {
  const graph = example();
  expect(align(graph, ["base"], "left", fixed)).toBe(graph);
});

test("distributing leaves the same gap between neighbours and the outermost in place", () => {
  const graph = place(example(), new Map<string, Point>([["base", [0, 0]], ["data", [110, 7]], ["train", [500, 0]]]));
  const spread = distribute(graph, ["base", "data", "train"], 0, fixed);
  expect(spread.nodes.data!.at).toEqual([250, 7]);
  expect(spread.nodes.train!.at).toEqual([500, 0]);
  expect(distribute(graph, ["base", "data"], 0, fixed)).toBe(graph);
});

function sizesWith(graph: ReturnType<typeof example>) {
  const all = sizes(graph, CATALOG, new Set());
  return (id: string): Point => (id in graph.groups ? all(id) : fixed());
}
