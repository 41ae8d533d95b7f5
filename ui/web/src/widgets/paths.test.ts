import { expect, it } from "vitest";
import { baseName, date, isAbsolute, isPicture, size } from "./paths";

it("sizes are short", () => {
  expect([0, 999, 1500, 12_345_678, 4.1e9].map(size)).toEqual(["0 bytes", "999 bytes", "1.5 kB", "12 MB", "4.1 GB"]);
});

const at = (...parts: [number, number, number, number, number]) => new Date(...parts).getTime() / 1000;

it("dates are as long as they need to be", () => {
  const now = new Date(2026, 4, 20, 18, 0);
  expect(date(at(2026, 4, 20, 9, 5), now)).toBe("09:05");
  expect(date(at(2026, 2, 3, 9, 5), now)).toBe("3 Mar");
  expect(date(at(2024, 2, 3, 9, 5), now)).toBe("3 Mar 2024");
});

it("paths are told apart", () => {
  expect(["/a/b.png", "C:\\x", "embedded:emoji", "a/b"].map(isAbsolute)).toEqual([true, true, false, false]);
  expect(["/a/B.PNG", "x.safetensors", "png"].map(isPicture)).toEqual([true, false, false]);
  expect(["/a/b.png", "C:\\x\\y.txt", "folder/", "embedded:emoji"].map(baseName)).toEqual(["b.png", "y.txt", "folder", "embedded:emoji"]);
});
