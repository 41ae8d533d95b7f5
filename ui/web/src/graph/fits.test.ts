import { expect, test } from "vitest";
import { CATALOG, example } from "./example";
import { accepted, bestSocket, candidates, fits, refusal, wouldCycle } from "./fits";
import { add, connect } from "./operations";

const drag = { node: "draw", socket: "images", side: "out", type: "Images" } as const;

test("an output fits its own type and what it stands in for, not the other way round", () => {
  expect(fits("Images", "Images", CATALOG)).toBe(true);
  expect(fits("Images", "Value", CATALOG)).toBe(true);
  expect(fits("Value", "Images", CATALOG)).toBe(false);
  expect(fits("Images", "Base", CATALOG)).toBe(false);
});

test("a socket of an unknown type fits everything", () => {
  expect(fits("", "Base", CATALOG)).toBe(true);
  expect(fits("Base", "", CATALOG)).toBe(true);
});

test("bases are followed to the end, and a circle of bases ends", () => {
  const values = { ...CATALOG.values, Value: { ...CATALOG.values.Value!, bases: ["Thing"] }, Thing: { ...CATALOG.values.Value!, name: "Thing", bases: ["Images"] } };
  expect(accepted("Images", { ...CATALOG, values })).toEqual(["Images", "Value", "Thing"]);
});

test("a wire back closes a circle", () => {
  const graph = example();
  expect(wouldCycle(graph, "draw", "train")).toBe(true);
  expect(wouldCycle(graph, "train", "train")).toBe(true);
  expect(wouldCycle(graph, "data", "draw")).toBe(false);
});

test("a refusal says why", () => {
  const graph = example();
  expect(refusal(graph, CATALOG, { from: "base", output: "base", to: "draw", input: "base" })).toBeNull();
  expect(refusal(graph, CATALOG, { from: "data", output: "images", to: "draw", input: "base" })).toContain("takes Base");
  expect(refusal(graph, CATALOG, { from: "styled", output: "base", to: "train", input: "base" })).toContain("circle");
  expect(refusal(graph, CATALOG, { from: "base", output: "base", to: "draw", input: "old" })).toContain("no input \"old\"");
});

test("a wire dropped on a node goes to the free input of its own type first", () => {
  let graph = add(example(), CATALOG.nodes.SaveImages!, [0, 0], "other");
  expect(bestSocket(graph, CATALOG, "other", drag)).toBe("images");
  expect(bestSocket(graph, CATALOG, "base", drag)).toBeNull();
  graph = add(graph, CATALOG.nodes.ApplyLoRA!, [0, 0], "second");
  expect(bestSocket(graph, CATALOG, "second", { node: "train", socket: "lora", side: "out", type: "LoRA" })).toBe("lora");
});

test("a wire dragged from an input goes to an output", () => {
  const graph = add(example(), CATALOG.nodes.Sample!, [0, 0], "again");
  expect(bestSocket(graph, CATALOG, "styled", { node: "again", socket: "base", side: "in", type: "Base" })).toBe("base");
});

test("candidates are the nodes that take the wire, the same type before related ones", () => {
  const found = candidates(CATALOG, { side: "out", type: "LoRA" }).map(({ type, socket }) => `${type.type}.${socket}`);
  expect(found).toEqual(["ApplyLoRA.lora", "MergeLoRA.loras"]);
  expect(candidates(CATALOG, { side: "in", type: "Value" }).map(({ type }) => type.type)).toEqual(["LoadBase", "LoadImages", "ApplyLoRA", "Sample"]);
});

test("an input that takes several stays open", () => {
  let graph = add(example(), CATALOG.nodes.MergeLoRA!, [0, 0], "merge");
  graph = connect(graph, { from: "train", output: "lora", to: "merge", input: "loras" }, true);
  expect(bestSocket(graph, CATALOG, "merge", { node: "train", socket: "lora", side: "out", type: "LoRA" })).toBe("loras");
});
