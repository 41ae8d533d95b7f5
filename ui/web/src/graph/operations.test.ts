import { describe, expect, test } from "vitest";
import { CATALOG, example } from "./example";
import {
  add, addVia, collapse, connect, move, moveVia, nameTrouble, remove, removeBridging, removeVia, rename, same, setMode, setSetting, toggleMode, unsetSetting,
} from "./operations";

const ids = (graph: { wires: { id: string }[] }): string[] => graph.wires.map((wire) => wire.id);

describe("nodes", () => {
  test("a new node is named after its type, and numbered where that is taken", () => {
    let graph = add(example(), CATALOG.nodes.ApplyLoRA!, [5, 6]);
    graph = add(graph, CATALOG.nodes.ApplyLoRA!, [5, 6]);
    expect(Object.keys(graph.nodes).slice(-2)).toEqual(["apply_lora", "apply_lora_2"]);
    expect(graph.nodes.apply_lora!.at).toEqual([5, 6]);
  });

  test("removing a node removes its wires, and nothing else", () => {
    const graph = remove(example(), ["train"]);
    expect(ids(graph)).toEqual(["base.base→styled.base", "styled.base→draw.base", "draw.images→save.images"]);
    expect(remove(graph, ["nobody"])).toBe(graph);
  });

  test("removing with bridges feeds on what the node was fed, where the type fits", () => {
    const graph = removeBridging(example(), CATALOG, ["styled"]);
    expect(ids(graph)).toContain("base.base→draw.base");
    expect(removeBridging(example(), CATALOG, ["train"]).wires).toHaveLength(3);
  });

  test("removing a whole chain bridges over all of it", () => {
    let graph = add(example(), CATALOG.nodes.ApplyLoRA!, [0, 0], "second");
    graph = connect(graph, { from: "styled", output: "base", to: "second", input: "base" }, false);
    graph = connect(graph, { from: "second", output: "base", to: "draw", input: "base" }, false);
    expect(ids(removeBridging(graph, CATALOG, ["styled", "second"]))).toContain("base.base→draw.base");
  });

  test("renaming takes the wires along and keeps the place in the file", () => {
    const graph = rename(example(), "train", "teach");
    expect(Object.keys(graph.nodes)[2]).toBe("teach");
    expect(ids(graph)).toContain("train.lora→styled.lora".replace("train", "teach"));
    expect(ids(graph)).toContain("base.base→teach.base");
  });

  test.each(["draw", "a b", "", "-x", "x".repeat(101)])("the name %j is refused", (name) => {
    const graph = example();
    expect(nameTrouble(graph, "train", name)).not.toBeNull();
    expect(rename(graph, "train", name)).toBe(graph);
  });

  test("what is the default and was never written stays unwritten; what was written can be taken back", () => {
    const graph = example();
    expect(setSetting(graph, "styled", "strength", 1, 1)).toBe(graph);
    const weaker = setSetting(graph, "styled", "strength", 0.5, 1);
    expect(weaker.nodes.styled!.settings).toEqual({ strength: 0.5 });
    expect(setSetting(weaker, "styled", "strength", 1, 1).nodes.styled!.settings).toEqual({ strength: 1 });
    expect(unsetSetting(weaker, "styled", "strength").nodes.styled!.settings).toEqual({});
    expect(weaker.nodes.draw).toBe(graph.nodes.draw);
  });

  test("a mode is turned on for all, and off where all have it", () => {
    const mixed = setMode(example(), ["base"], "mute");
    const all = toggleMode(mixed, ["base", "data"], "mute");
    expect([all.nodes.base!.mode, all.nodes.data!.mode]).toEqual(["mute", "mute"]);
    expect(toggleMode(all, ["base", "data"], "mute").nodes.data!.mode).toBe("");
    expect(collapse(all, ["base"], false)).toBe(all);
  });
});

describe("wires", () => {
  test("an input that takes one wire loses the one it had", () => {
    const graph = connect(example(), { from: "base", output: "base", to: "draw", input: "base" }, false);
    expect(graph.wires.filter((wire) => wire.to === "draw").map((wire) => wire.from)).toEqual(["base"]);
  });

  test("an input that takes several keeps them in order; the same wire twice changes nothing", () => {
    let graph = add(example(), CATALOG.nodes.MergeLoRA!, [0, 0], "merge");
    graph = add(graph, CATALOG.nodes.TrainLoRA!, [0, 0], "more");
    graph = connect(graph, { from: "train", output: "lora", to: "merge", input: "loras" }, true);
    graph = connect(graph, { from: "more", output: "lora", to: "merge", input: "loras" }, true);
    expect(ids(graph).slice(-2)).toEqual(["train.lora→merge.loras", "more.lora→merge.loras"]);
    expect(connect(graph, { from: "train", output: "lora", to: "merge", input: "loras" }, true)).toBe(graph);
    graph = add(graph, CATALOG.nodes.TrainLoRA!, [0, 0], "third");
    graph = connect(graph, { from: "third", output: "lora", to: "merge", input: "loras" }, true, "train.lora→merge.loras");
    expect(ids(graph).slice(-2)).toEqual(["third.lora→merge.loras", "more.lora→merge.loras"]);
  });

  test("a wire whose end moves takes its old place's wire away", () => {
    const graph = connect(example(), { from: "base", output: "base", to: "draw", input: "base" }, false, "styled.base→draw.base");
    expect(ids(graph)).not.toContain("styled.base→draw.base");
    expect(ids(graph)).toContain("base.base→draw.base");
    expect(graph.wires).toHaveLength(6);
  });

  test("reroute points are added, moved and removed", () => {
    const wire = "draw.images→save.images";
    let graph = addVia(addVia(example(), wire, 0, [10.4, 20]), wire, 0, [1, 2]);
    expect(graph.wires.at(-1)!.via).toEqual([[1, 2], [10, 20]]);
    graph = moveVia(graph, wire, 1, [30, 40]);
    graph = removeVia(graph, wire, 0);
    expect(graph.wires.at(-1)!.via).toEqual([[30, 40]]);
    expect(removeVia(graph, wire, 7)).toBe(graph);
  });

  test("reroute points move with both ends, not with one", () => {
    const wire = "draw.images→save.images";
    const graph = addVia(example(), wire, 0, [10, 20]);
    expect(move(graph, ["draw"], [5, 5]).wires.at(-1)!.via).toEqual([[10, 20]]);
    expect(move(graph, ["draw", "save"], [5, 5]).wires.at(-1)!.via).toEqual([[15, 25]]);
  });
});

test("moving to where something is changes nothing, and what does not move is shared", () => {
  const graph = example();
  expect(move(graph, ["base"], [0.2, 0])).toBe(graph);
  const moved = move(graph, ["base"], [8, 0]);
  expect(moved.nodes.base!.at).toEqual([8, 0]);
  expect(moved.nodes.train).toBe(graph.nodes.train);
  expect(moved.wires).toBe(graph.wires);
});

test("values are compared as they are written", () => {
  expect(same([1, { a: 2 }], [1, { a: 2 }])).toBe(true);
  expect(same(null, 0)).toBe(false);
});
