import { describe, expect, it } from "vitest";
import { columnsOf, digitsOf, tabbed } from "./tables";

const texts = (...cells: number[]) => columnsOf(["n"], cells.map((cell) => [cell]))[0]!.texts;

describe("a column", () => {
  it("is of numbers where all that it says are numbers", () => {
    const [names, norms, mixed, empty] = columnsOf(["module", "norm", "mixed", "empty"], [["a", 1.5, 1, null], ["b", null, "x", null]]);
    expect(names).toEqual({ name: "module", numeric: false, texts: ["a", "b"] });
    expect(norms).toEqual({ name: "norm", numeric: true, texts: ["1.50", ""] });
    expect(mixed).toMatchObject({ numeric: false, texts: ["1", "x"] });
    expect(empty).toMatchObject({ numeric: false, texts: ["", ""] });
  });

  it("has the same digits after the point in each row, and none where all are whole", () => {
    expect(texts(8, 16, 1280)).toEqual(["8", "16", "1280"]);
    expect(texts(12.3456, 0.5, -3)).toEqual(["12.35", "0.50", "-3.00"]);
    expect(texts(0.012345, 0.5)).toEqual(["0.012", "0.500"]);
    expect(texts(31.5, 0.012, 0.034, 0.056)).toEqual(["31.5000", "0.0120", "0.0340", "0.0560"]);
    expect(texts(0.5, 0, 0.000012)).toEqual(["0.500", "0", "1.2e-5"]);
    expect(texts(2.5e7, 1.5)).toEqual(["2.5e+7", "1.5e+0"]);
    expect(texts(-1234.5)).toEqual(["-1235"]);
  });

  it("has at most six digits after the point", () => expect(digitsOf([0.00012])).toBe(6));
});

it("is copied with tabs, numbers in full", () => {
  expect(tabbed(["a", "b"], [["x\ty", 0.1234567], [null, -2]])).toBe("a\tb\nx y\t0.1234567\n\t-2");
});
