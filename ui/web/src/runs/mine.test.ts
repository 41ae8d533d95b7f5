import { describe, expect, it } from "vitest";
import type { RunRecord, RunStatus } from "../types";
import { after, nextOfMine, remember } from "./mine";

const run = (id: string, status: RunStatus, position = 0): RunRecord => ({ id, status, position }) as RunRecord;
const mine = ["a", "b", "c"].map((id) => ({ id, loads: 1, text: `text of ${id}` }));

const next = (...queue: RunRecord[]): string | undefined => after("a", mine, queue)?.run.id;

describe("after a run has ended", () => {
  it("the one that runs is shown, with what was run", () => {
    expect(after("a", mine, [run("a", "done"), run("b", "waiting"), run("c", "running")])).toEqual({ run: run("c", "running"), text: "text of c" });
  });
  it("else the one that is next in the queue", () => {
    expect(next(run("a", "cancelled"), run("b", "waiting", 2), run("c", "waiting", 1))).toBe("c");
    expect(next(run("c", "waiting", 2), run("b", "waiting", 1), run("a", "done"))).toBe("b");
  });
  it("else the last that ended by itself", () => {
    expect(next(run("a", "done"), run("b", "done"), run("c", "cancelled"))).toBe("b");
    expect(next(run("a", "done"), run("b", "done"), run("c", "failed"))).toBe("c");
  });
  it("nothing older, cancelled, removed or of somebody else is", () => {
    expect(next(run("a", "done"), run("b", "cancelled"), run("x", "running"))).toBeUndefined();
    expect(after("c", mine, [run("a", "done"), run("b", "done"), run("c", "done")])).toBeNull();
  });
  it("nothing that is over takes the place of a run of somebody else", () => {
    expect(after("x", mine, [run("x", "done"), run("a", "done")])).toBeNull();
    expect(after("x", mine, [run("x", "done"), run("a", "waiting")])?.run.id).toBe("a");
  });
  it("one that was overtaken is gone back to", () => {
    expect(after("c", mine, [run("b", "running"), run("c", "done")])?.run.id).toBe("b");
  });
});

it("a run of a document that is no longer open is not gone on with", () => {
  remember({ id: "a", loads: 1, text: "" });
  remember({ id: "b", loads: 1, text: "" });
  const queue = [run("a", "done"), run("b", "waiting")];
  expect(nextOfMine("a", queue, 1)?.run.id).toBe("b");
  expect(nextOfMine("a", queue, 2)).toBeNull();
  remember({ id: "c", loads: 2, text: "" });
  expect(nextOfMine("a", queue, 1)).toBeNull();
});
