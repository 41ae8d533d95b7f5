import { describe, expect, it } from "vitest";
import type { RunRecord } from "../types";
import { isOf, newest } from "./choosing";

const run = (id: string, created: number, more: Partial<RunRecord> = {}): RunRecord => ({
  id, name: "demo", title: "", status: "done", position: 0, created, started: null, ended: null, out: "", path: null, wanted: null,
  device: null, attempt: 1, error: "", nodes: 1, finished: 1, last_seq: 1, stopping: false, rerun_of: null, bad_input: false, ...more,
});

describe("a run is of the open document", () => {
  it("by its file, whatever it is called", () => {
    expect(isOf(run("a", 1, { path: "/w/a.json" }), { name: "other", path: "/w/a.json", revision: null })).toBe(true);
    expect(isOf(run("a", 1, { path: null }), { name: "demo", path: "/w/a.json", revision: null })).toBe(false);
  });
  it("by its name where neither has a file", () => {
    expect(isOf(run("a", 1), { name: "demo", path: null, revision: null })).toBe(true);
    expect(isOf(run("a", 1, { path: "/w/a.json" }), { name: "demo", path: null, revision: null })).toBe(false);
  });
});

describe("the newest", () => {
  it("is an unfinished one, if there is any", () => {
    expect(newest([run("a", 5), run("b", 1, { status: "running" }), run("c", 2, { status: "waiting" })])?.id).toBe("c");
  });
  it("else the one that was begun last; none of none", () => {
    expect(newest([run("a", 5), run("b", 1)])?.id).toBe("a");
    expect(newest([])).toBeNull();
  });
});
