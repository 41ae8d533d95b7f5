/** What is said when a run has ended, and what is shown then: the next one of this page, if there is one. */
import { view } from "../canvas/view";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import { dismiss, notify } from "../state/shell";
import type { NodeRun, RunRecord } from "../types";
import { show } from "./following";
import { nextOfMine } from "./mine";
import { duration } from "./progress";

/** The nodes that have failed, in the order in which they did. */
export function failures(nodes: Record<string, NodeRun>): string[] {
  const ended = (id: string): number => nodes[id]!.started + nodes[id]!.seconds;
  return Object.keys(nodes).filter((id) => nodes[id]!.state === "failed").toSorted((one, two) => ended(one) - ended(two));
}

/** How a run ended, in a line: "Done in 50 s", "“demo” failed: train: no such folder"; null where nothing is to be said. */
export function ending(run: RunRecord, nodes: Record<string, NodeRun>): { text: string; detail?: string; node?: string } | null {
  if (run.status === "done") return { text: run.started && run.ended ? `Done in ${duration(run.ended - run.started)}` : "Done" };
  if (run.status !== "failed") return null;
  const title = run.title || run.name;
  const [node] = failures(nodes);
  if (node !== undefined) return { text: `“${title}” failed: ${node}: ${nodes[node]!.error}`, node };
  // What no node can say: the run never began, or took the server's process down.
  return run.error ? { text: `“${title}” has failed.`, detail: run.error } : { text: `“${title}” has failed.` };
}

/** The notice that said why the last run failed: it goes when the next one is submitted. */
let failure = 0;

export function forgetFailure(): void {
  dismiss(failure);
}

/** Say how a run ended; of old ones that were only looked at again nothing but what no node can say. */
export function sayEnding(run: RunRecord, live: boolean): void {
  const said = ending(run, useRuns.getState().nodes);
  if (!said) return;
  const { text, detail, node } = said;
  if (run.status === "done") {
    if (live) notify("good", text);
  } else if (node !== undefined) {
    if (live) failure = notify("error", text, { action: { label: "Show", run: () => reveal(node) } });
  } else if (detail !== undefined || live) failure = notify("error", text, detail === undefined ? {} : { detail });
}

/** While one run is watched the next ones wait behind it: when it has ended, the canvas goes on with them. */
export function goOn(run: RunRecord, live: boolean): void {
  const { queue, shown } = useRuns.getState();
  if (!live || shown?.id !== run.id) return;
  const next = nextOfMine(run.id, queue, useGraph.getState().loads);
  if (next) show(next.run, { text: next.text, keep: true, live: true });
}

/** Select a node and bring it into view; one that has gone is left alone. */
export function reveal(node: string): void {
  if (!(node in useGraph.getState().graph.nodes)) return;
  useGraph.getState().select([node]);
  view()?.reveal([node]);
}
