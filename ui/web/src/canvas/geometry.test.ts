import { expect, test } from "vitest";
import { CATALOG, example, field } from "../graph/example";
import { collapse, connect, expand, move, setSetting } from "../graph/operations";
import { MEDIA_HEIGHT as MEDIA } from "../runs/media";
import { HEADER, ROW, foremost, layoutOf } from "./geometry";
import { flowEdges, flowNodes } from "./flow";

const none = new Set<string>();

test("the foremost settings are the required, the written, and the first few", () => {
  const graph = setSetting(example(), "train", "every", 5);
  const type = CATALOG.nodes.TrainLoRA!;
  expect(foremost(type, example().nodes.train!).map((field) => field.name)).toEqual(["rank", "steps", "rate", "batch"]);
  expect(foremost(type, graph.nodes.train!).map((field) => field.name)).toEqual(["rank", "steps", "rate", "every"]);
});

test("an advanced setting is shown on demand, or once it has been written", () => {
  const type = { ...CATALOG.nodes.TrainLoRA!, fields: [field("rank"), field("blocks", { advanced: true }), field("start", { advanced: true }), field("steps")] };
  const graph = example();
  expect(foremost(type, graph.nodes.train!).map(({ name }) => name)).toEqual(["rank", "steps"]);
  expect(foremost(type, setSetting(graph, "train", "start", 0.5).nodes.train!).map(({ name }) => name)).toEqual(["rank", "blocks", "start", "steps"]);
  expect(foremost({ ...type, fields: [...type.fields, field("seed", { advanced: true })] }, setSetting(graph, "train", "start", 0.5).nodes.train!).map(({ name }) => name)).toEqual(["rank", "start", "steps"]);
});

test("sockets lie in rows below the header, and a collapsed node is its header", () => {
  const graph = example();
  const open = layoutOf(graph, CATALOG, "train", false)!;
  expect(open.inputs.map((socket) => socket.y)).toEqual([HEADER + ROW / 2, HEADER + ROW * 1.5]);
  const closed = layoutOf(collapse(graph, ["train"], true), CATALOG, "train", true)!;
  expect(closed.size[1]).toBe(HEADER);
  expect(new Set([...closed.inputs, ...closed.outputs].map((socket) => socket.y))).toEqual(new Set([HEADER / 2]));
});

test("media and more settings make a node taller", () => {
  const graph = example();
  const plain = layoutOf(graph, CATALOG, "train", false)!.size[1];
  expect(layoutOf(graph, CATALOG, "train", true)!.size[1]).toBe(plain + MEDIA);
  expect(layoutOf(expand(graph, ["train"], true), CATALOG, "train", false)!.size[1]).toBeGreaterThan(plain);
});

test("a socket that the type no longer has stays while a wire needs it; those of an unknown type come from its wires", () => {
  const graph = connect(example(), { from: "base", output: "base", to: "draw", input: "control" }, false);
  expect(layoutOf(graph, CATALOG, "draw", false)!.inputs.map(({ name, gone }) => [name, gone])).toEqual([["base", false], ["control", true]]);
  const { TrainLoRA: _, ...nodes } = CATALOG.nodes;
  const unknown = layoutOf(graph, { ...CATALOG, nodes }, "train", false)!;
  expect(unknown.inputs.map(({ name, gone }) => [name, gone])).toEqual([["base", false], ["dataset", false]]);
  expect(unknown.outputs.map((socket) => socket.name)).toEqual(["lora"]);
});

test("what has not changed is given to React Flow as the same object; a node that moved keeps its data", () => {
  const graph = example();
  const before = flowNodes(graph, CATALOG, none, none);
  const moved = move(graph, ["base"], [10, 0]);
  const after = flowNodes(moved, CATALOG, none, none);
  expect(after.slice(1)).toEqual(before.slice(1));
  expect(after.slice(1).every((node, index) => node === before[index + 1])).toBe(true);
  expect(after[0]).not.toBe(before[0]);
  expect(after[0]!.data).toBe(before[0]!.data);
  expect(flowEdges(moved, CATALOG, none)[0]).toBe(flowEdges(graph, CATALOG, none)[0]);
});
