import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lost, type Server, setServer } from "../server";
import { useRuns } from "../state/runs";
import type { Json, RunEvent, RunRecord } from "../types";
import { onEnd, recover, setHidden, show } from "./following";

const RECORD: RunRecord = {
  id: "r", name: "demo", title: "", status: "running", position: 0, created: 1, started: 1, ended: null, out: "", path: null, wanted: null,
  device: "cpu", attempt: 1, error: "", nodes: 2, finished: 0, last_seq: 5, stopping: false, rerun_of: null, bad_input: false,
};
const DONE: RunRecord = { ...RECORD, status: "done", finished: 2, ended: 2 };
const TEXT = JSON.stringify({ format: "loragraph/1", nodes: { a: { type: "T", version: 1 }, b: { type: "T", version: 1 } } });

const event = (seq: number, kind: string, node: string | null, data: Record<string, Json> = {}): RunEvent => ({ seq, time: seq, run: "r", kind, node, data });
const EVENTS = [
  event(1, "run_started", null, { nodes: 2 }), event(2, "node_started", "a"), event(3, "node_done", "a", { key: "ka", seconds: 1 }),
  event(4, "node_cached", "b", { key: "kb" }), event(5, "run_done", null, { status: "done" }),
];

type Stream = (after: number) => AsyncGenerator<{ events: RunEvent[]; run: RunRecord }>;

/** A server whose streams go as `streams` say, one after the other; the last is used again. */
function serve(...streams: Stream[]): { asked: number[]; results: string[][] } {
  const seen = { asked: [] as number[], results: [] as string[][] };
  const fake: Server = {
    async call<T>(method: string, data: Record<string, unknown> = {}) {
      if (method === "results") {
        const nodes = data.nodes as string[];
        seen.results.push(nodes);
        return { results: Object.fromEntries(nodes.map((node) => [node, [{ kind: "file", name: node, path: `/${node}`, size: 1 }]])) } as T;
      }
      return { run: RECORD, text: TEXT } as T;
    },
    upload: async () => "",
    follow(_run, after) {
      const stream = streams[Math.min(seen.asked.length, streams.length - 1)]!;
      seen.asked.push(after);
      return stream(after);
    },
    fileUrl: (path) => path,
  };
  setServer(fake);
  return seen;
}

const rest: Stream = async function* (after) {
  yield { events: EVENTS.slice(after), run: DONE };
};

beforeEach(() => {
  vi.useFakeTimers();
  useRuns.setState({ shown: null, nodes: {}, results: {}, queue: [], connection: "connected" });
});
afterEach(() => {
  setHidden(false);
  show(null);
  vi.useRealTimers();
});

const states = (): Record<string, string> => Object.fromEntries(Object.entries(useRuns.getState().nodes).map(([id, run]) => [id, run.state]));

describe("a shown run", () => {
  it("has its nodes waiting at once, then shows how they end and what they made", async () => {
    const seen = serve(rest);
    show(RECORD, { text: TEXT });
    expect(states()).toEqual({ a: "waiting", b: "waiting" });
    await vi.runAllTimersAsync();
    expect(states()).toEqual({ a: "done", b: "cached" });
    expect(seen.results).toEqual([["a", "b"]]);
    expect(Object.keys(useRuns.getState().results)).toEqual(["a", "b"]);
  });

  it("is gone on with from the last event after a loss, without taking one twice", async () => {
    const seen = serve(async function* () {
      yield { events: EVENTS.slice(0, 2), run: RECORD };
      throw new Lost("gone");
    }, rest);
    show(RECORD, { text: TEXT });
    await vi.runAllTimersAsync();
    expect(seen.asked).toEqual([0, 2]);
    expect(states()).toEqual({ a: "done", b: "cached" });
  });

  it("is asked for anew where a message was lost in between", async () => {
    const seen = serve(async function* () {
      yield { events: EVENTS.slice(0, 1), run: RECORD };
      yield { events: EVENTS.slice(3), run: DONE };
    }, rest);
    show(RECORD, { text: TEXT });
    await vi.runAllTimersAsync();
    expect(seen.asked).toEqual([0, 1]);
    expect(states()).toEqual({ a: "done", b: "cached" });
  });

  it("is shown as far as it is known where the server itself has lost an event", async () => {
    const seen = serve(async function* () {
      yield { events: EVENTS.slice(2), run: DONE };
    });
    show(RECORD, { text: TEXT });
    await vi.runAllTimersAsync();
    expect(seen.asked).toEqual([0, 0]);
    expect(states()).toEqual({ a: "done", b: "cached" });
  });

  it("says once that it has ended, and updates the queue", async () => {
    serve(rest);
    useRuns.setState({ queue: [RECORD] });
    const ended = vi.fn<(run: RunRecord) => void>();
    const stop = onEnd(ended);
    show(RECORD, { text: TEXT });
    await vi.runAllTimersAsync();
    stop();
    expect(ended).toHaveBeenCalledTimes(1);
    expect(useRuns.getState().queue[0]!.status).toBe("done");
  });

  it("has its results when its end is told, and tells old from new", async () => {
    serve(rest);
    const told: [string, boolean, string[]][] = [];
    const stop = onEnd((run, live) => told.push([run.id, live, Object.keys(useRuns.getState().results)]));
    show(RECORD, { text: TEXT });
    await vi.runAllTimersAsync();
    show(DONE);
    await vi.runAllTimersAsync();
    show(DONE, { text: TEXT, live: true });
    await vi.runAllTimersAsync();
    stop();
    expect(told.map(([, live]) => live)).toEqual([true, false, true]);
    expect(told[0]![2]).toEqual(["a", "b"]);
  });

  it("waits for the server to be back before it asks again", async () => {
    const seen = serve(async function* () {
      yield { events: [], run: RECORD };
      useRuns.setState({ connection: "lost" });
      throw new Lost("gone");
    }, rest);
    show(RECORD, { text: TEXT });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen.asked).toEqual([0]);
    useRuns.setState({ connection: "connected" });
    recover();
    await vi.runAllTimersAsync();
    expect(seen.asked).toEqual([0, 0]);
    expect(states()).toEqual({ a: "done", b: "cached" });
  });

  it("is not streamed to a page that nobody sees, until it is seen", async () => {
    const seen = serve(rest);
    setHidden(true);
    show(RECORD, { text: TEXT });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen.asked).toEqual([]);
    setHidden(false);
    await vi.runAllTimersAsync();
    expect(states()).toEqual({ a: "done", b: "cached" });
  });
});

it("another run takes nothing of the one before it, a new run of the same keeps its results", async () => {
  serve(rest);
  show(RECORD, { text: TEXT });
  await vi.runAllTimersAsync();
  show({ ...RECORD, id: "s", wanted: ["b"] }, { text: TEXT, keep: true });
  expect(states()).toEqual({ a: "done", b: "waiting" });
  expect(Object.keys(useRuns.getState().results)).toEqual(["a", "b"]);
  show({ ...RECORD, id: "t" });
  expect(states()).toEqual({});
  expect(useRuns.getState().results).toEqual({});
});
