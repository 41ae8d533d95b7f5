/**
 * The run that is shown and the queue. Kept apart from the graph, and per node, so that an event redraws one node.
 *
 *     const mine = useRuns((state) => state.nodes[id]);
 */
import { create } from "zustand";
import type { NodeRun, ResultView, RunRecord } from "../types";

export type Connection = "connected" | "lost";

export interface RunsState {
  /** The run whose progress the nodes show; null before the first. */
  shown: RunRecord | null;
  nodes: Record<string, NodeRun>;
  /** Results by node, fetched when a node has ended. */
  results: Record<string, ResultView[]>;
  queue: RunRecord[];
  connection: Connection;
}

export const useRuns = create<RunsState>()(() => ({ shown: null, nodes: {}, results: {}, queue: [], connection: "connected" }));
