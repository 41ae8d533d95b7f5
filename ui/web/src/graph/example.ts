/** A small catalog and graph for tests and trials: base -> train -> styled -> draw -> save, with data into train. */
import type { Catalog, Field, Graph, NodeType } from "../types";
import { add, connect } from "./operations";

export function field(name: string, change: Partial<Field> = {}): Field {
  return {
    name, kind: "number", default: 0, required: false, whole: false, minimum: null, maximum: null, step: null, choices: [], suggestions: [],
    info: "", advanced: false, ...change,
  };
}

function nodeType(type: string, inputs: string[], outputs: string[], fields: Field[] = []): NodeType {
  return {
    type, version: 1, category: "Test", doc: `${type}.`, cache: true, device: false, package: "loragraph", fields,
    inputs: inputs.map((text) => {
      const [name = "", kind = ""] = text.split(":");
      return { name, type: kind.replace(/[*?]/, ""), required: !kind.endsWith("?"), many: kind.endsWith("*") };
    }),
    outputs: outputs.map((text) => {
      const [name = "", kind = ""] = text.split(":");
      return { name, type: kind };
    }),
  };
}

const types = [
  nodeType("LoadBase", [], ["base:Base"], [field("source", { kind: "model", default: "embedded:emoji" })]),
  nodeType("LoadImages", [], ["dataset:Dataset", "images:Images"], [field("folder", { kind: "folder", default: null, required: true })]),
  nodeType("TrainLoRA", ["base:Base", "dataset:Dataset"], ["lora:LoRA"], ["rank", "steps", "rate", "batch", "seed", "every"].map((name) => field(name))),
  nodeType("ApplyLoRA", ["base:Base", "lora:LoRA"], ["base:Base"], [field("strength", { default: 1 })]),
  nodeType("MergeLoRA", ["loras:LoRA*"], ["lora:LoRA"]),
  nodeType("Sample", ["base:Base"], ["images:Images"], [field("prompt", { kind: "multiline", default: null, required: true })]),
  nodeType("SaveImages", ["images:Value?"], []),
];

export const CATALOG: Catalog = {
  nodes: Object.fromEntries(types.map((type) => [type.type, type])),
  values: {
    Value: { name: "Value", bases: [], colour: "#888888", shape: "circle" },
    Base: { name: "Base", bases: ["Value"], colour: "#5b7fd6", shape: "square" },
    Dataset: { name: "Dataset", bases: [], colour: "#3f9d6b", shape: "diamond" },
    LoRA: { name: "LoRA", bases: [], colour: "#c8643f", shape: "triangle" },
    Images: { name: "Images", bases: ["Value"], colour: "#a45bc0", shape: "circle" },
  },
};

export function example(): Graph {
  let graph: Graph = { title: "Example", nodes: {}, wires: [], groups: {}, notes: {}, extra: {} };
  const nodes: [string, string][] = [
    ["base", "LoadBase"], ["data", "LoadImages"], ["train", "TrainLoRA"], ["styled", "ApplyLoRA"], ["draw", "Sample"], ["save", "SaveImages"],
  ];
  for (const [index, [id, type]] of nodes.entries()) graph = add(graph, CATALOG.nodes[type]!, [index * 400, 0], id);
  const wires = ["base.base train.base", "data.dataset train.dataset", "base.base styled.base", "train.lora styled.lora", "styled.base draw.base", "draw.images save.images"];
  for (const text of wires) {
    const [from = "", output = "", to = "", input = ""] = text.split(/[. ]/);
    graph = connect(graph, { from, output, to, input }, false);
  }
  return graph;
}
