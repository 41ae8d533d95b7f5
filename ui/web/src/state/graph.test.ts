import { beforeEach, expect, test } from "vitest";
import { CATALOG, example } from "../graph/example";
import { move, remove } from "../graph/operations";
import { useGraph } from "./graph";

const now = () => useGraph.getState();

beforeEach(() => {
  useGraph.setState({ catalog: CATALOG });
  now().load(example());
});

test("edits with the same key are one step, until they are settled", () => {
  const before = now().graph;
  for (const x of [1, 2, 3]) now().edit("move", (graph) => move(graph, ["base"], [x, 0]), "drag");
  now().settle();
  now().edit("move", (graph) => move(graph, ["base"], [10, 0]), "drag");
  expect(now().past).toHaveLength(2);
  now().undo();
  expect(now().graph.nodes.base!.at).toEqual([6, 0]);
  now().undo();
  expect(now().graph).toBe(before);
});

test("what is moved after another choice is a step of its own", () => {
  const nudge = (id: string): void => now().edit("move", (graph) => move(graph, [id], [10, 0]), "nudge");
  now().select(["base"]);
  nudge("base");
  nudge("base");
  now().select(["save"]);
  nudge("save");
  expect(now().past).toHaveLength(2);
});

test("redo does again what undo took back, and is gone after another edit", () => {
  now().edit("delete", (graph) => remove(graph, ["save"]));
  const after = now().graph;
  now().undo();
  now().redo();
  expect(now().graph).toBe(after);
  now().undo();
  now().edit("move", (graph) => move(graph, ["base"], [1, 1]));
  expect(now().future).toEqual([]);
});

test("what changes nothing is no step", () => {
  now().edit("delete", (graph) => remove(graph, ["nobody"]));
  expect(now().past).toEqual([]);
});

test("undo takes what it removes out of the selection", () => {
  now().edit("delete", (graph) => remove(graph, ["save"]));
  now().undo();
  now().select(["save", "base", "draw.images→save.images"]);
  now().redo();
  expect([...now().selection]).toEqual(["base"]);
});

test("an undo after saving is an unsaved change; loading begins anew", () => {
  now().edit("delete", (graph) => remove(graph, ["save"]));
  now().markSaved();
  expect(now().graph).toBe(now().saved);
  now().undo();
  expect(now().graph).not.toBe(now().saved);
  now().load(example());
  expect([now().past.length, now().future.length, now().selection.size]).toEqual([0, 0, 0]);
});
