import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lost, Refused, type Server, setServer } from "../server";
import { EMPTY, useGraph } from "../state/graph";
import type { Graph, GraphNode } from "../types";
import { recheck, watchGraph } from "./checking";

const node = (seed: number, at: [number, number] = [0, 0]): GraphNode => ({
  id: "a", type: "Sample", version: 1, settings: { seed }, mode: "", at, collapsed: false, expanded: false, randomise: [], extra: {},
});
const graph = (seed: number, at?: [number, number]): Graph => ({ ...EMPTY, nodes: { a: node(seed, at) } });

let asked: string[];
let answer: () => Promise<unknown>;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  answer = async () => ({ problems: [], keys: { a: `key ${asked.length}` }, ready: ["a"] });
  setServer({
    call: async (method: string, data: Record<string, unknown> = {}) => {
      asked.push(`${method} ${(JSON.parse(data.text as string) as { nodes: { a: { settings: { seed: number } } } }).nodes.a.settings.seed}`);
      return await answer();
    },
  } as unknown as Server);
  useGraph.getState().load(EMPTY);
  stop = watchGraph();
});
afterEach(async () => {
  await vi.runAllTimersAsync();
  stop();
  vi.useRealTimers();
});

describe("the server's judgement", () => {
  it("is asked for once after edits that follow each other", async () => {
    for (const seed of [1, 2, 3]) useGraph.getState().edit("set", () => graph(seed));
    await vi.runAllTimersAsync();
    expect(asked).toEqual(["check 3"]);
    expect(useGraph.getState()).toMatchObject({ keys: { a: "key 1" }, problems: [] });
    expect(useGraph.getState().ready.has("a")).toBe(true);
  });

  it("is not asked for when nodes are only moved, but again when a run has ended", async () => {
    useGraph.getState().edit("set", () => graph(1));
    await vi.runAllTimersAsync();
    useGraph.getState().edit("move", () => graph(1, [50, 50]));
    await vi.runAllTimersAsync();
    expect(asked).toHaveLength(1);
    recheck();
    await vi.runAllTimersAsync();
    expect(asked).toHaveLength(2);
  });

  it("is asked for again when the graph was edited meanwhile", async () => {
    answer = async () => {
      if (asked.length === 1) useGraph.getState().edit("set", () => graph(2));
      return { problems: [], keys: {}, ready: [] };
    };
    useGraph.getState().edit("set", () => graph(1));
    await vi.runAllTimersAsync();
    expect(asked).toEqual(["check 1", "check 2"]);
  });

  it("is asked for when the same document is loaded anew", async () => {
    useGraph.getState().load(graph(1));
    await vi.runAllTimersAsync();
    useGraph.getState().load(graph(1));
    expect(useGraph.getState().keys).toEqual({});
    await vi.runAllTimersAsync();
    expect(useGraph.getState().keys).toEqual({ a: "key 2" });
  });

  it("is dropped where another document was opened meanwhile", async () => {
    let tell!: (judgement: unknown) => void;
    const first = new Promise((resolve) => { tell = resolve; });
    answer = async () => (asked.length === 1 ? await first : { problems: [], keys: { a: "of the second" }, ready: [] });
    useGraph.getState().load(graph(1));
    await vi.advanceTimersByTimeAsync(400);
    useGraph.getState().load(graph(2));
    tell({ problems: [], keys: { a: "of the first" }, ready: [] });
    await vi.advanceTimersByTimeAsync(0);
    expect(useGraph.getState().keys).toEqual({});
    await vi.runAllTimersAsync();
    expect(useGraph.getState().keys).toEqual({ a: "of the second" });
  });

  it("is what a refusal says where the document cannot be judged", async () => {
    answer = async () => { throw new Refused("too many nodes"); };
    useGraph.getState().edit("set", () => graph(1));
    await vi.runAllTimersAsync();
    expect(useGraph.getState().problems).toMatchObject([{ node: null, message: "too many nodes" }]);
  });

  it("stays as it was while the server is lost", async () => {
    useGraph.getState().edit("set", () => graph(1));
    await vi.runAllTimersAsync();
    answer = async () => { throw new Lost("gone"); };
    useGraph.getState().edit("set", () => graph(2));
    await vi.runAllTimersAsync();
    expect(useGraph.getState().keys).toEqual({ a: "key 1" });
  });
});
