import { describe, expect, it } from "vitest";
import type { NodeRun, RunRecord } from "../types";
import { ago, duration, measure, secondsLeft, size, standing } from "./progress";
import { WAITING } from "./reduce";

const RECORD: RunRecord = {
  id: "r", name: "n", title: "t", status: "running", position: 0, created: 0, started: 0, ended: null, out: "", path: null,
  wanted: null, device: "cpu", attempt: 1, error: "", nodes: 11, finished: 3, last_seq: 1, stopping: false, rerun_of: null, bad_input: false,
};
const training: NodeRun = { ...WAITING, state: "running", step: 40, total: 300, pace: { from: [0, 100], to: [40, 108] } };

describe("times", () => {
  it.each([[0, "<0.1 s"], [0.42, "0.4 s"], [9.96, "10 s"], [59.6, "1 min"], [80, "1 min 20 s"], [3599, "60 min"], [7500, "2 h 5 min"], [7200, "2 h"]])(
    "%d seconds are %s", (seconds, said) => expect(duration(seconds)).toBe(said));
  it.each([[10, "just now"], [300, "5 min ago"], [7200, "2 h ago"]])("%d seconds ago is %s", (seconds, said) =>
    expect(ago(1000, 1000 + seconds)).toBe(said));
});

it.each([[0, "0 B"], [999, "999 B"], [1500, "1.5 kB"], [12_345_678, "12 MB"], [999_999_999, "1.0 GB"]])("%d bytes are %s", (bytes, said) =>
  expect(size(bytes)).toBe(said));

it.each([[0, "0"], [0.12345, "0.123"], [12.34, "12.3"], [0.000012, "1.2e-5"]])("%d is written %s", (value, said) =>
  expect(measure(value)).toBe(said));

describe("what is left", () => {
  it("is told by the pace", () => expect(secondsLeft(training)).toBeCloseTo(52));
  it("is not told from a single step", () =>
    expect(secondsLeft({ ...training, step: 1, pace: { from: [1, 100], to: [1, 100] } })).toBeNull());
  it("is not told for a node that has ended", () => expect(secondsLeft({ ...training, state: "done" })).toBeNull());
});

describe("the bar", () => {
  it("names the node to wait for", () => {
    const quick: NodeRun = { ...training, step: 299, pace: { from: [0, 100], to: [299, 101] } };
    expect(standing(RECORD, { quick, train: training }).text).toBe("3/11 · train 40/300 · 52 s left");
  });
  it("counts the running node's part", () => expect(standing(RECORD, { train: training }).fraction).toBeCloseTo((3 + 40 / 300) / 11));
  it("says that it waits, and that it stops", () => {
    expect(standing({ ...RECORD, status: "waiting" }, {}).text).toBe("Waiting in the queue");
    expect(standing({ ...RECORD, stopping: true }, {}).text).toBe("Stopping after this step…");
  });
});
