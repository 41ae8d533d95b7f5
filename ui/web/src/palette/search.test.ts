import { describe, expect, it } from "vitest";
import type { NodeType } from "../types";
import { score, search, wordsOf } from "./search";

function type(name: string, category: string, doc = ""): NodeType {
  return { type: name, category, doc, version: 1, cache: true, device: false, package: "loragraph", inputs: [], outputs: [], fields: [] };
}

const TYPES = [
  type("LoadBase", "Model", "Choose the base model."), type("LoadLoRA", "LoRA", "Take a LoRA from a file."), type("ApplyLoRA", "LoRA", "Add a LoRA to a base."),
  type("SaveImages", "Image", "Save every picture as a PNG."), type("Sample", "Image", "Draw pictures with a base."), type("Grid", "Image", "Lay pictures out side by side."),
];
const names = (query: string): string[] => search(TYPES, query).map((each) => each.type);

describe("search", () => {
  it("lists everything by category and name where nothing was typed", () => {
    expect(names("")).toEqual(["Grid", "Sample", "SaveImages", "ApplyLoRA", "LoadLoRA", "LoadBase"]);
  });
  it("puts a name's beginning before a word within it", () => expect(names("sa").slice(0, 2)).toEqual(["Sample", "SaveImages"]));
  it("finds the words of a name in any order", () => expect(names("lora load")[0]).toBe("LoadLoRA"));
  it("finds initials", () => expect(names("ll")[0]).toBe("LoadLoRA"));
  it("finds letters left out", () => expect(names("aplora")[0]).toBe("ApplyLoRA"));
  it("finds a category and words of the description, after names", () => {
    expect(names("model")).toContain("LoadBase");
    expect(names("png")).toEqual(["SaveImages"]);
    expect(names("base")[0]).toBe("LoadBase");
    expect(names("base")).toContain("Sample");
  });
  it("wants every word", () => expect(names("load zebra")).toEqual([]));
});

describe("score", () => {
  it("prefers the exact name to a longer one", () => {
    const [exact, longer] = ["Grid", "GridOfGrids"].map((name) => score("grid", { name, others: [], text: "" }));
    expect(exact).toBeGreaterThan(longer!);
  });
});

describe("wordsOf", () => {
  it("reads LoRA as one word, and runs of capitals", () => {
    expect(wordsOf("ApplyLoRA")).toEqual(["apply", "lora"]);
    expect(wordsOf("SavePNGFile2")).toEqual(["save", "png", "file2"]);
  });
});
