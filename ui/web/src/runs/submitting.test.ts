import { beforeEach, describe, expect, it } from "vitest";
import { setSetting } from "../graph/operations";
import { type Server, setServer } from "../server";
import { EMPTY, useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import type { Field, Graph, GraphNode, Json, RunRecord } from "../types";
import { runAll, takeSeeds } from "./submitting";

const field = { name: "seed", kind: "seed", default: 0, required: false, whole: true, minimum: 0, maximum: 99 } as Field;
const type = { type: "Sample", version: 1, category: "", doc: "", cache: true, device: true, package: "", inputs: [], outputs: [], fields: [field] };
const node = (id: string, seed: number): GraphNode => ({
  id, type: "Sample", version: 1, settings: { seed }, mode: "", at: [0, 0], collapsed: false, expanded: false, randomise: ["seed"], extra: {},
});
const sent: Graph = { ...EMPTY, nodes: { a: node("a", 1), b: node("b", 2) } };
const fresh = setSetting(setSetting(sent, "a", "seed", 11), "b", "seed", 12);
const seeds = ({ nodes }: Graph): Json[] => Object.values(nodes).map(({ settings }) => settings.seed!);

describe("the seeds of a run", () => {
  it("are on the canvas when the server took it", () => {
    expect(takeSeeds(sent, sent, fresh)).toBe(fresh);
  });
  it("leave a seed alone that was typed meanwhile, and what has gone", () => {
    const { a, b } = setSetting(sent, "a", "seed", 5).nodes;
    expect(seeds(takeSeeds({ ...sent, nodes: { a: a!, b: b! } }, sent, fresh))).toEqual([5, 12]);
    expect(Object.keys(takeSeeds({ ...sent, nodes: { b: b! } }, sent, fresh).nodes)).toEqual(["b"]);
  });
  it("change nothing where nothing of the run is left", () => {
    expect(takeSeeds(EMPTY, sent, fresh)).toBe(EMPTY);
  });
});

describe("submitting", () => {
  const run = { id: "r1", name: "a", title: "", status: "waiting", nodes: 2, finished: 0, last_seq: 0 } as RunRecord;
  let meanwhile: () => void;

  beforeEach(() => {
    meanwhile = () => {};
    setServer({
      call: async (method: string) => {
        if (method === "submit") meanwhile();
        return { run };
      },
      // eslint-disable-next-line require-yield
      async *follow() {},
    } as unknown as Server);
    useGraph.setState({ catalog: { nodes: { Sample: type }, values: {} } });
    useGraph.getState().load(sent);
    useRuns.setState({ shown: { ...run, id: "other" }, nodes: {}, queue: [] });
  });

  it("draws seeds as a step that can be undone", async () => {
    await runAll();
    expect(useGraph.getState().past.map(({ label }) => label)).toEqual(["new seeds"]);
  });
  it("leaves another document alone that was opened meanwhile", async () => {
    const other = { ...EMPTY, nodes: { a: node("a", 1) } };
    meanwhile = () => useGraph.getState().load(other);
    await runAll();
    expect(useGraph.getState().graph).toBe(other);
  });
});
