import { expect, it } from "vitest";
import { EMPTY } from "../state/graph";
import type { Catalog, Field, Graph, GraphNode } from "../types";
import { freshSeed, freshSeeds } from "./seeds";

const seed: Field = {
  name: "seed", kind: "seed", default: 0, required: false, whole: true, minimum: 0, maximum: 2 ** 53 - 1, step: null, choices: [], suggestions: [], info: "", advanced: false,
};
const type = { type: "Sample", version: 1, category: "", doc: "", cache: true, device: true, package: "", inputs: [], outputs: [], fields: [seed] };
const catalog: Catalog = { nodes: { Sample: type }, values: {} };
const node = (id: string, randomise: string[]): GraphNode => ({
  id, type: "Sample", version: 1, settings: { steps: 4 }, mode: "", at: [0, 0], collapsed: false, expanded: false, randomise, extra: {},
});

it("seeds that are not locked are drawn, the others stay", () => {
  const graph: Graph = { ...EMPTY, nodes: { a: node("a", ["seed"]), b: node("b", []) } };
  const next = freshSeeds(graph, catalog, () => 0.5);
  expect(next.nodes.a?.settings).toEqual({ steps: 4, seed: 2 ** 31 });
  expect(next.nodes.b).toBe(graph.nodes.b);
});

it("a graph without unlocked seeds is the same graph", () => {
  const graph: Graph = { ...EMPTY, nodes: { b: node("b", ["steps"]) } };
  expect(freshSeeds(graph, catalog)).toBe(graph);
});

it("a drawn seed keeps the field's limits", () => {
  expect(freshSeed({ minimum: 3, maximum: 5 }, () => 0.9999)).toBe(5);
  expect(freshSeed({ minimum: 3, maximum: 5 }, () => 0)).toBe(3);
});
