import { expect, it } from "vitest";
import { ago } from "./lists";

const now = Date.UTC(2026, 2, 12, 12);
const minutes = (count: number): string => ago(now - count * 60_000, now);

it("says how long ago something was", () => {
  expect(minutes(0)).toBe("just now");
  expect(minutes(1)).toBe("a minute ago");
  expect(minutes(59)).toBe("59 minutes ago");
  expect(minutes(60)).toBe("an hour ago");
  expect(minutes(23 * 60)).toBe("23 hours ago");
  expect(minutes(25 * 60)).toBe("yesterday");
  expect(minutes(72 * 60)).toBe("9 Mar 2026");
});
