import { describe, expect, it } from "vitest";
import { EMPTY } from "../state/graph";
import type { Graph, GraphNode, WorkflowDocument } from "../types";
import { downstream, participants } from "./participants";

const DOCUMENT: WorkflowDocument = {
  format: "loragraph/1",
  nodes: {
    base: { type: "LoadBase", version: 1 },
    data: { type: "LoadImages", version: 1 },
    train: { type: "TrainLoRA", version: 1, inputs: { base: "base.base", dataset: "data.dataset" } },
    a: { type: "Sample", version: 1, inputs: { base: "base.base" } },
    grid: { type: "Grid", version: 1, inputs: { rows: ["a.images", "gone.images"] } },
    off: { type: "Sample", version: 1, mode: "mute", inputs: { base: "train.base" } },
  },
};

describe("participants", () => {
  it("are all but the muted without wanted ones", () => {
    expect(participants(DOCUMENT, null)).toEqual(["base", "data", "train", "a", "grid"]);
  });
  it("are what leads to the wanted ones, wires from nowhere left out", () => {
    expect(participants(DOCUMENT, ["grid"])).toEqual(["base", "a", "grid"]);
  });
  it("are found by a wire that names no output", () => {
    const nodes = { a: { type: "LoadBase", version: 1 }, b: { type: "Sample", version: 1, inputs: { base: "a" } } };
    expect(participants({ format: "loragraph/1", nodes }, ["b"])).toEqual(["a", "b"]);
  });
  it("are none for a wanted node that is muted or gone", () => {
    expect(participants(DOCUMENT, ["off", "nobody"])).toEqual([]);
  });
});

const node = (id: string, mode: GraphNode["mode"] = ""): GraphNode => ({
  id, type: "T", version: 1, settings: {}, mode, at: [0, 0], collapsed: false, expanded: false, randomise: [], extra: {},
});
const wire = (from: string, to: string) => ({ id: `${from}→${to}`, from, output: "o", to, input: "i", via: [] });

describe("downstream", () => {
  const graph: Graph = {
    ...EMPTY, nodes: { a: node("a"), b: node("b"), c: node("c", "mute"), d: node("d"), other: node("other") },
    wires: [wire("a", "b"), wire("b", "c"), wire("b", "d"), wire("d", "b")],
  };
  it("is the chosen and what follows, without the muted, and ends on a cycle", () => {
    expect(downstream(graph, ["b"])).toEqual(["b", "d"]);
    expect(downstream(graph, ["a", "gone"])).toEqual(["a", "b", "d"]);
  });
});
