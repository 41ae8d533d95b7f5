import { expect, test } from "vitest";
import type { WorkflowDocument } from "../types";
import { group, addNote } from "./arrange";
import { fromDocument, toDocument, toText } from "./convert";
import { duplicate, insert, part, readable } from "./copies";
import { CATALOG, example } from "./example";
import { addVia, collapse, setMode, setSetting } from "./operations";
import { sizes } from "../canvas/geometry";

function full() {
  let graph = setSetting(example(), "draw", "prompt", "red apple");
  graph = collapse(setMode(graph, ["styled"], "bypass"), ["data"], true);
  graph = addNote(group(graph, ["base"], () => [280, 90]), [10, 20], "Begin here");
  return addVia(graph, "draw.images→save.images", 0, [1900, 40]);
}

test("a graph survives the way to the file and back", () => {
  const graph = full();
  expect(fromDocument(JSON.parse(toText(graph)) as WorkflowDocument)).toEqual(graph);
});

test("the file says only what was chosen", () => {
  const document = toDocument(full());
  expect(document.nodes.base).toEqual({ type: "LoadBase", version: 1 });
  expect(document.nodes.styled).toEqual({ type: "ApplyLoRA", version: 1, mode: "bypass", inputs: { base: "base.base", lora: "train.lora" } });
  expect(document.view!.data).toEqual({ at: [400, 0], collapsed: true });
  expect(document.view!["#wires"]).toEqual({ "draw.images→save.images": { via: [[1900, 40]] } });
  expect(toText(full())).toMatch(/\}\n$/);
});

test("what the canvas does not know stays", () => {
  const document: WorkflowDocument = {
    $schema: "x.json", format: "loragraph/1", nodes: { a: { type: "LoadBase", version: 1 } },
    view: { a: { at: [1, 2], tint: "red" }, gone: { at: [3, 4] }, "#camera": { zoom: 2 }, "#notes": { "#n1": { text: "", at: [0, 0], size: [9, 9], colour: "#fff", font: "x" } } },
  };
  expect(toDocument(fromDocument(document))).toEqual(document);
});

test("several wires into one input are a list, in order, also where one is there twice", () => {
  const document: WorkflowDocument = {
    format: "loragraph/1",
    nodes: { a: { type: "TrainLoRA", version: 1 }, m: { type: "MergeLoRA", version: 1, inputs: { loras: ["a.lora", "b.lora", "a.lora"] } } },
  };
  const graph = fromDocument(document);
  expect(new Set(graph.wires.map((wire) => wire.id)).size).toBe(3);
  expect(toDocument(graph).nodes.m!.inputs).toEqual({ loras: ["a.lora", "b.lora", "a.lora"] });
});

test("positions are whole pixels, and nonsense in the view does no harm", () => {
  const graph = fromDocument({
    format: "loragraph/1", nodes: { a: { type: "LoadBase", version: 1 }, b: { type: "LoadBase", version: 1 } },
    view: { a: { at: [1.6, 2.2] }, b: { at: ["x", 1], randomise: [1, "seed"] }, "#groups": { "#g1": { title: "no place" } } },
  });
  expect(toDocument(graph).view!.a).toEqual({ at: [2, 2] });
  expect(graph.nodes.b!.randomise).toEqual(["seed"]);
  expect(graph.groups).toEqual({});
});

test("nodes without a place go into columns as the wires run, below those that have one, and overlap nothing", () => {
  const document = toDocument(example());
  document.view = { base: { at: [1000, 1000] } };
  const graph = fromDocument(document, CATALOG);
  const [x, y] = graph.nodes.data!.at;
  expect(y).toBeGreaterThan(1000);
  expect(graph.nodes.train!.at[0]).toBeGreaterThan(x);
  expect(graph.nodes.save!.at[0]).toBeGreaterThan(graph.nodes.draw!.at[0]);
  const size = sizes(graph, CATALOG, new Set());
  const nodes = Object.values(graph.nodes);
  const overlapping = nodes.filter((one) => nodes.some((other) => one !== other
    && Math.abs(one.at[0] - other.at[0]) < size(one.id)[0] && one.at[1] <= other.at[1] && other.at[1] < one.at[1] + size(one.id)[1]));
  expect(overlapping).toEqual([]);
});

test("a circle in the file is still laid out", () => {
  const graph = fromDocument({
    format: "loragraph/1", nodes: { a: { type: "ApplyLoRA", version: 1, inputs: { base: "b.base" } }, b: { type: "ApplyLoRA", version: 1, inputs: { base: "a.base" } } },
  });
  expect(graph.nodes.a!.at).not.toEqual(graph.nodes.b!.at);
});

test("a part holds the wires within, and pasting it numbers the names", () => {
  const graph = example();
  const copied = part(graph, ["train", "styled"]);
  expect(copied.wires.map((wire) => wire.id)).toEqual(["train.lora→styled.lora"]);
  const made = insert(graph, copied, [10, 20]);
  expect(made.ids).toEqual(["train_2", "styled_2"]);
  expect(made.graph.nodes.train_2!.at).toEqual([810, 20]);
  expect(made.graph.wires.at(-1)!.id).toBe("train_2.lora→styled_2.lora");
  expect(made.graph.nodes.train).toBe(graph.nodes.train);
});

test("a duplicate is fed from outside like the original, or not at all", () => {
  const fed = duplicate(example(), ["styled"], [0, 300]);
  expect(fed.graph.wires.slice(-2).map((wire) => wire.id)).toEqual(["base.base→styled_2.base", "train.lora→styled_2.lora"]);
  expect(duplicate(example(), ["styled"], [0, 300], false).graph.wires).toHaveLength(6);
});

test("only a workflow is taken for one", () => {
  expect(readable(toDocument(example()))).toBe(true);
  for (const other of [null, 3, [], {}, { format: "loragraph/1" }, { format: "x/1", nodes: {} }, { format: "loragraph/1", nodes: { a: { type: 1 } } }]) {
    expect(readable(other)).toBe(false);
  }
});
