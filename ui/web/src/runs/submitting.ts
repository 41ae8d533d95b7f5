/**
 * Starting runs and steering the queue.
 *
 * A run is of the graph as it is at that moment. Seeds that are not locked get a new value first, so that the settings on
 * the canvas are those of the run; that is an edit like any other, made only where the server took the run.
 */
import { toDocument, toText } from "../graph/convert";
import { setSetting } from "../graph/operations";
import { Lost, Refused, server } from "../server";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import { dismiss, notify, useShell } from "../state/shell";
import type { Graph, RunRecord } from "../types";
import { unfinished } from "../widgets/draft";
import { freshSeeds } from "../widgets/seeds";
import { forgetFailure } from "./ending";
import { show } from "./following";
import { remember } from "./mine";
import { downstream, participants } from "./participants";
import { isOver } from "./progress";

export async function runAll(front = false): Promise<void> {
  await submit(null, front);
}

export async function runTo(): Promise<void> {
  const wanted = chosen().filter((id) => useGraph.getState().graph.nodes[id]!.mode !== "mute");
  if (wanted.length) await submit(wanted);
  else notify("info", "Select the nodes to run to first; muted ones don't run.");
}

export async function runFrom(): Promise<void> {
  const wanted = downstream(useGraph.getState().graph, chosen());
  if (wanted.length) await submit(wanted);
  else notify("info", "Select the nodes to run from first; muted ones don't run.");
}

/** The selected nodes, without the wires, groups and notes. */
export function chosen(): string[] {
  const { graph, selection } = useGraph.getState();
  return [...selection].filter((id) => id in graph.nodes);
}

let submitting = false;
/** The notice that said why it could not run: it goes when the next run is tried. */
let complaint = 0;

async function submit(wanted: string[] | null, front = false): Promise<void> {
  if (submitting) return;
  const { graph, catalog, loads, edit } = useGraph.getState();
  if (!Object.keys(graph.nodes).length) {
    notify("info", "There is nothing to run yet: double-click the canvas to add a node.");
    return;
  }
  dismiss(complaint);
  forgetFailure();
  const fresh = freshSeeds(graph, catalog);
  const text = toText(fresh);
  const open = half(fresh, wanted);
  if (open) {
    complaint = notify("error", "This workflow cannot run yet.", { detail: open });
    return;
  }
  const { file } = useShell.getState();
  submitting = true;
  try {
    const { run } = await server().call<{ run: RunRecord }>("submit", { text, name: file.name, path: file.path, wanted, front });
    if (useGraph.getState().loads === loads) edit("new seeds", (now) => takeSeeds(now, graph, fresh));
    remember({ id: run.id, loads, text });
    const { shown, queue } = useRuns.getState();
    useRuns.setState({ queue: [run, ...queue.filter((other) => other.id !== run.id)] });
    // While one run is watched, the next ones wait behind it in the queue.
    if (shown && !isOver(shown) && !front) notify("info", `“${run.title || run.name}” waits in the queue.`);
    else show(run, { text, keep: true });
  } catch (error) {
    refused(error, "This workflow cannot run yet.");
  } finally {
    submitting = false;
  }
}

/** What is half written in a setting of a node that takes part, in words; null where nothing is. */
function half(graph: Graph, wanted: string[] | null): string | null {
  const { catalog, loads } = useGraph.getState();
  const open = unfinished(graph, catalog, loads);
  if (!open.length) return null;
  const part = new Set(participants(toDocument(graph), wanted));
  const [first] = open.filter(({ node }) => part.has(node));
  return first ? `${first.node} · ${first.field}: what is written there is not finished. Mend it there first.` : null;
}

/** The graph with the seeds that the run has; one that was changed since the run was sent stays as it was changed. */
export function takeSeeds(now: Graph, sent: Graph, fresh: Graph): Graph {
  if (now === sent) return fresh;
  let next = now;
  for (const [id, node] of Object.entries(fresh.nodes)) {
    const before = sent.nodes[id];
    if (node === before) continue;
    for (const [name, seed] of Object.entries(node.settings)) {
      const mine = now.nodes[id];
      if (mine && seed !== before?.settings[name] && mine.settings[name] === before?.settings[name]) next = setSetting(next, id, name, seed);
    }
  }
  return next;
}

function refused(error: unknown, title: string): void {
  if (error instanceof Lost) {
    notify("warning", "The server cannot be reached; nothing was changed there.");
    return;
  }
  if (!(error instanceof Refused)) throw error;
  if (error.problems.length) {
    const { judge, keys, ready } = useGraph.getState();
    judge(error.problems, keys, ready);
    useShell.setState({ panel: "problems" });
    complaint = notify("error", title, { detail: error.problems.length === 1 ? said(error) : `${error.problems.length} problems are listed at the right.` });
  } else complaint = notify("error", title, { detail: error.message });
}

function said(error: Refused): string {
  const [problem] = error.problems;
  return [[problem?.node, problem?.field].filter(Boolean).join(" · "), problem?.message ?? error.message].filter(Boolean).join(": ");
}

/** Ask the server to change the queue, and show it as it is then. */
async function change(method: string, data: Record<string, unknown> = {}): Promise<void> {
  try {
    const answer = await server().call<{ queue?: RunRecord[]; run?: RunRecord }>(method, data);
    if (answer.queue) takeQueue(answer.queue);
  } catch (error) {
    refused(error, "The queue could not be changed.");
  }
}

/** The queue as the server tells it; the shown run's record is not put back by an older one. */
export function takeQueue(queue: RunRecord[]): void {
  useRuns.setState(({ shown }) => {
    const mine = shown && queue.find((run) => run.id === shown.id);
    return mine && mine.last_seq >= shown.last_seq && JSON.stringify(mine) !== JSON.stringify(shown) ? { queue, shown: mine } : { queue };
  });
}

/** The run that Cancel means: the one that is shown, else the one that runs. */
export function toCancel(): RunRecord | null {
  const { shown, queue } = useRuns.getState();
  if (shown && !isOver(shown)) return shown;
  return queue.find((run) => run.status === "running") ?? null;
}

export async function cancel(run: RunRecord | null = toCancel()): Promise<void> {
  if (run && !isOver(run)) await change("cancel", { run: run.id });
}

/** Put a waiting run at a place; 0 is next. */
export const move = (run: RunRecord, place: number): Promise<void> => change("move", { run: run.id, place });
export const again = (run: RunRecord): Promise<void> => change("again", { run: run.id });
export const remove = (runs: string[]): Promise<void> => change("remove", { runs });
export const clean = (): Promise<void> => change("clean");
