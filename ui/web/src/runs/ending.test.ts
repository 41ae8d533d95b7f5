import { beforeEach, describe, expect, it } from "vitest";
import { useRuns } from "../state/runs";
import { useShell } from "../state/shell";
import type { NodeRun, RunRecord } from "../types";
import { ending, failures, sayEnding } from "./ending";
import { WAITING } from "./reduce";

const run = { id: "r", name: "demo", title: "", status: "failed", started: 10, ended: 60, error: "" } as RunRecord;
const failed = (error: string, started: number): NodeRun => ({ ...WAITING, state: "failed", error, started, seconds: 1 });
const nodes = { a: failed("no such folder", 9), b: { ...WAITING, state: "done" as const }, c: failed("out of memory", 3) };

it("the nodes that failed come in the order in which they did", () => {
  expect(failures(nodes)).toEqual(["c", "a"]);
});

describe("how a run ended", () => {
  it("names the first node that failed, and why", () => {
    expect(ending(run, nodes)).toEqual({ text: "“demo” failed: c: out of memory", node: "c" });
  });
  it("says what no node can say", () => {
    expect(ending({ ...run, error: "the process is gone" }, {})).toEqual({ text: "“demo” has failed.", detail: "the process is gone" });
  });
  it("says how long it took", () => {
    expect(ending({ ...run, status: "done" }, {})).toEqual({ text: "Done in 50 s" });
    expect(ending({ ...run, status: "done", started: null }, {})).toEqual({ text: "Done" });
  });
  it("is not worth a word where it was cancelled", () => {
    expect(ending({ ...run, status: "cancelled" }, {})).toBeNull();
  });
});

const notices = (): [string, string][] => useShell.getState().notices.map(({ kind, text }) => [kind, text]);

describe("a notice", () => {
  beforeEach(() => {
    useShell.setState({ notices: [] });
    useRuns.setState({ nodes });
  });

  it("comes when a run that was followed has ended", () => {
    sayEnding({ ...run, status: "done" }, true);
    sayEnding(run, true);
    expect(notices()).toEqual([["good", "Done in 50 s"], ["error", "“demo” failed: c: out of memory"]]);
    expect(useShell.getState().notices[1]!.action?.label).toBe("Show");
  });
  it("does not come when an old run is looked at again", () => {
    sayEnding({ ...run, status: "done" }, false);
    sayEnding(run, false);
    expect(notices()).toEqual([]);
  });
});
