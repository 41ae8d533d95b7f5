import { describe, expect, it } from "vitest";
import { complaint, nudge, parseNumber, sliderStep, stepOf } from "./numbers";

const ANY = { whole: false, minimum: null, maximum: null, step: null };
const RANK = { whole: true, minimum: 1, maximum: 64, step: null };

describe("a typed number", () => {
  it.each([["12", 12], [" -3.5 ", -3.5], ["0,5", 0.5], [".5", 0.5], ["1.", 1], ["1e-4", 0.0001]])("%s is read", (text, number) => {
    expect(parseNumber(text)).toBe(number);
  });
  it.each(["", "a", "1.2.3", "0x10", "1e999", "--1", "Infinity"])("%s is none", (text) => {
    expect(parseNumber(text)).toBeNull();
  });
  it("is told its limits", () => {
    expect(complaint(65, RANK)).toBe("at most 64");
    expect(complaint(0, RANK)).toBe("at least 1");
    expect(complaint(1.5, RANK)).toBe("a whole number is needed");
    expect(complaint(8, RANK)).toBe("");
  });
});

describe("a step", () => {
  it("fits the size of the number", () => {
    expect(stepOf(0.001, ANY)).toBeCloseTo(0.0001, 12);
    expect(stepOf(300, RANK)).toBe(1);
    expect(stepOf(0, { ...ANY, minimum: 0, maximum: 1 })).toBeCloseTo(0.01, 12);
    expect(stepOf(5, { ...ANY, step: 0.05 })).toBe(0.05);
  });
  it("leaves no dust and stays within the limits", () => {
    expect(nudge(0.1, 2, 0.1, ANY)).toBe(0.3);
    expect(nudge(0.001, 1, 0.0001, ANY)).toBe(0.0011);
    expect(nudge(60, 10, 1, RANK)).toBe(64);
    expect(nudge(0.123, 1, 0.05, ANY)).toBe(0.173);
  });
  it("of a slider gives a hundred places", () => {
    expect(sliderStep({ ...ANY, minimum: 0, maximum: 1 })).toBeCloseTo(0.01, 12);
    expect(sliderStep({ ...ANY, minimum: -4, maximum: 4, step: 0.05 })).toBe(0.05);
  });
});
