/**
 * What a run's events add up to: one `NodeRun` per node. Pure; the same events give the same picture, however they are cut
 * into batches, so a page that reconnects or is opened later shows what the first one shows.
 *
 *     nodes = takeAll(nodes, events);      // only the touched nodes are new objects
 */
import type { Json, NodeRun, NodeState, Point, RunEvent } from "../types";

export const WAITING: NodeRun = {
  state: "waiting", started: 0, seconds: 0, step: 0, total: 0, pace: null, message: "", preview: "", curves: {},
  error: "", trace: "", badInput: false, key: "", device: "",
};

/** A curve keeps about this many points: beyond it every second one goes, which no eye can tell on a node. */
export const MOST_POINTS = 2000;

const ENDS: Record<string, NodeState> = {
  node_cached: "cached", node_done: "done", node_failed: "failed", node_skipped: "skipped", node_cancelled: "cancelled",
};

export function hasEnded(run: NodeRun): boolean {
  return run.state !== "waiting" && run.state !== "running";
}

/** One node after one of its events; an event of a kind that is not known changes nothing. */
export function take(run: NodeRun | undefined, event: RunEvent): NodeRun {
  const before = run ?? WAITING;
  const { data } = event;
  const end = ENDS[event.kind];
  if (end) {
    const seconds = number(data.seconds) || (before.started && end !== "cached" ? Math.max(0, event.time - before.started) : 0);
    return {
      ...before, state: end, seconds, preview: end === "cached" ? "" : before.preview, key: text(data.key) || before.key,
      message: end === "skipped" && data.because ? `because ${text(data.because)} failed` : before.message,
      error: end === "failed" ? text(data.message) || text(data.error) || "It failed." : "",
      trace: text(data.trace), badInput: data.bad_input === true,
    };
  }
  switch (event.kind) {
    case "node_started":
      return { ...WAITING, state: "running", started: event.time, device: text(data.device), curves: before.state === "waiting" ? before.curves : {} };
    case "node_progress": {
      const step = number(data.step);
      const total = number(data.total);
      return {
        ...before, step, total, pace: paced(before, step, total, event.time), message: text(data.message),
        preview: text(data.preview) || before.preview,
      };
    }
    case "node_metric": {
      const value = data.value;
      if (typeof value !== "number") return before;
      const name = text(data.name) || "value";
      return { ...before, curves: { ...before.curves, [name]: longer(before.curves[name] ?? [], [number(data.step), value]) } };
    }
    case "node_log":
      return { ...before, message: text(data.message) };
    default:
      return before;
  }
}

/** All nodes after some events in order. Returns `nodes` itself where nothing has changed. */
export function takeAll(nodes: Record<string, NodeRun>, events: readonly RunEvent[]): Record<string, NodeRun> {
  let next = nodes;
  const change = (id: string, run: NodeRun): void => {
    if (next[id] === run) return;
    if (next === nodes) next = { ...nodes };
    next[id] = run;
  };
  for (const event of events) {
    if (event.node !== null) {
      change(event.node, take(next[event.node], event));
    } else if (event.kind === "run_started" && number(event.data.attempt) > 1) {
      // The server died in the middle: what it was doing starts again, from where its checkpoints are.
      for (const [id, run] of Object.entries(next)) if (run.state === "running") change(id, { ...WAITING, curves: run.curves });
    } else if (event.kind === "run_done") {
      // What has no end of its own was never begun: in a run that went well it took no part.
      const left = Object.entries(next).filter(([, run]) => !hasEnded(run));
      if (event.data.status === "done" && left.length) {
        const gone = new Set(left.map(([id]) => id));
        next = Object.fromEntries(Object.entries(next).filter(([id]) => !gone.has(id)));
      } else {
        for (const [id, run] of left) change(id, { ...run, state: "cancelled" });
      }
    }
  }
  return next;
}

/** A stretch of steps has one pace; another total, or a step back, begins another stretch. */
function paced(before: NodeRun, step: number, total: number, time: number): NodeRun["pace"] {
  const to: Point = [step, time];
  if (!before.pace || total !== before.total || step < before.step) return { from: to, to };
  return { from: before.pace.from, to };
}

function longer(points: readonly Point[], point: Point): Point[] {
  const last = points.at(-1);
  // After a resume steps are told again: what was known beyond them is taken back.
  const kept = last && last[0] >= point[0] ? points.filter(([step]) => step < point[0]) : points;
  const all = [...kept, point];
  return all.length > MOST_POINTS ? all.filter((_, index) => index % 2 === 1 || index === all.length - 1) : all;
}

function number(value: Json | undefined): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function text(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}
