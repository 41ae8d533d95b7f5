import { describe, expect, it } from "vitest";
import type { Json, RunEvent } from "../types";
import { MOST_POINTS, WAITING, take, takeAll } from "./reduce";

let seq = 0;
function event(kind: string, node: string | null, data: Record<string, Json> = {}, time = 100): RunEvent {
  return { seq: ++seq, time, run: "r", kind, node, data };
}

describe("one node", () => {
  it("runs, makes progress and is done with its time and key", () => {
    let run = take(undefined, event("node_started", "a", { device: "cpu" }, 10));
    expect(run).toMatchObject({ state: "running", started: 10, device: "cpu" });
    run = take(run, event("node_progress", "a", { step: 3, total: 10, message: "loss 0.2", preview: "/p.png" }, 11));
    expect(run).toMatchObject({ step: 3, total: 10, message: "loss 0.2", preview: "/p.png" });
    run = take(run, event("node_done", "a", { key: "k", seconds: 2.5 }, 12.5));
    expect(run).toMatchObject({ state: "done", key: "k", seconds: 2.5, error: "" });
  });

  it("keeps its last preview when a step brings none", () => {
    let run = take(undefined, event("node_progress", "a", { step: 1, total: 2, preview: "/1.png" }));
    run = take(run, event("node_progress", "a", { step: 2, total: 2, preview: null }));
    expect(run.preview).toBe("/1.png");
  });

  it("fails with message, trace and whose fault it is", () => {
    const run = take(undefined, event("node_failed", "a", { error: "ValueError", message: "no", trace: "Traceback", bad_input: true }));
    expect(run).toMatchObject({ state: "failed", error: "no", trace: "Traceback", badInput: true });
  });

  it("starts anew without what an earlier try left", () => {
    const failed = take(undefined, event("node_failed", "a", { message: "no", trace: "t" }));
    expect(take(failed, event("node_started", "a"))).toMatchObject({ state: "running", error: "", trace: "", curves: {} });
  });

  it("measures the pace from the first step that was told, and anew when the count starts again", () => {
    let run = take(undefined, event("node_progress", "a", { step: 150, total: 300 }, 10));
    run = take(run, event("node_progress", "a", { step: 170, total: 300 }, 20));
    expect(run.pace).toEqual({ from: [150, 10], to: [170, 20] });
    run = take(run, event("node_progress", "a", { step: 1, total: 4 }, 21));
    expect(run.pace).toEqual({ from: [1, 21], to: [1, 21] });
  });

  it("leaves holes out of a curve and takes back what is told again after a resume", () => {
    let run = WAITING;
    for (const [step, value] of [[1, 0.9], [2, 0.8], [3, null], [4, 0.6], [2, 0.7], [3, 0.65]] as [number, number | null][]) {
      run = take(run, event("node_metric", "a", { name: "loss", value, step }));
    }
    expect(run.curves.loss).toEqual([[1, 0.9], [2, 0.7], [3, 0.65]]);
  });

  it("thins a long curve and keeps its newest point", () => {
    let run = WAITING;
    for (let step = 1; step <= 3 * MOST_POINTS; step++) run = take(run, event("node_metric", "a", { name: "loss", value: step, step }));
    expect(run.curves.loss!.length).toBeLessThanOrEqual(MOST_POINTS);
    expect(run.curves.loss!.at(-1)).toEqual([3 * MOST_POINTS, 3 * MOST_POINTS]);
  });
});

describe("all nodes", () => {
  it("replaces only what an event touches", () => {
    const before = { a: WAITING, b: WAITING };
    const after = takeAll(before, [event("node_started", "a")]);
    expect(after.b).toBe(before.b);
    expect(after.a).not.toBe(before.a);
    expect(before.a).toBe(WAITING);
  });

  it("gives the same for the events one by one and together", () => {
    const events = [event("run_started", null, { nodes: 2 }), event("node_started", "a"), event("node_done", "a", { key: "k" }),
      event("node_cached", "b", { key: "l" }), event("run_done", null, { status: "done" })];
    const together = takeAll({}, events);
    let single = {};
    for (const one of events) single = takeAll(single, [one]);
    expect(single).toEqual(together);
  });

  it("sends what was running back to waiting when a run is resumed", () => {
    const nodes = takeAll({}, [event("node_started", "a"), event("node_done", "b", { key: "k" }), event("run_started", null, { attempt: 2 })]);
    expect(nodes.a!.state).toBe("waiting");
    expect(nodes.b!.state).toBe("done");
  });

  it("keeps the curve of what goes on after a resume", () => {
    const metric = (step: number) => event("node_metric", "a", { name: "loss", value: 1 / step, step });
    const nodes = takeAll({}, [event("node_started", "a"), metric(1), metric(2), metric(3), event("run_started", null, { attempt: 2 }),
      event("node_started", "a"), metric(3), metric(4)]);
    expect(nodes.a!.curves.loss!.map(([step]) => step)).toEqual([1, 2, 3, 4]);
    expect(nodes.a).toMatchObject({ state: "running", step: 0, preview: "" });
  });

  it("leaves nothing running after the end of a cancelled run", () => {
    const nodes = takeAll({ b: WAITING }, [event("node_started", "a"), event("run_done", null, { status: "cancelled" })]);
    expect([nodes.a!.state, nodes.b!.state]).toEqual(["cancelled", "cancelled"]);
  });

  it("forgets who took no part once all is done", () => {
    const nodes = takeAll({ b: WAITING }, [event("node_done", "a", { key: "k" }), event("run_done", null, { status: "done" })]);
    expect(Object.keys(nodes)).toEqual(["a"]);
  });

  it("returns the very same object when nothing has changed", () => {
    const nodes = { a: WAITING };
    expect(takeAll(nodes, [event("run_started", null, { nodes: 1 })])).toBe(nodes);
  });
});
