/** Numbers as people read them: how far a run is, how long it takes yet, sizes and times. Pure. */
import type { NodeRun, RunRecord } from "../types";
import { hasEnded } from "./reduce";

export function isOver(run: RunRecord): boolean {
  return run.status !== "waiting" && run.status !== "running";
}

/** Seconds that the node needs yet at the pace so far; null before there is one. */
export function secondsLeft(run: NodeRun): number | null {
  if (run.state !== "running" || !run.pace || !run.total) return null;
  const { from, to } = run.pace;
  const steps = to[0] - from[0];
  if (steps < 2 && to[1] - from[1] < 1) return null;
  return steps > 0 ? Math.max(0, ((run.total - to[0]) * (to[1] - from[1])) / steps) : null;
}

/** How far the node is, 0 to 1; null where it does not say. */
export function fraction(run: NodeRun): number | null {
  return run.total > 0 ? Math.min(1, run.step / run.total) : null;
}

/** "<0.1 s", "0.4 s", "12 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  if (seconds < 0.05) return "<0.1 s";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 && minutes < 10 ? `${minutes} min ${whole % 60} s` : `${Math.round(whole / 60)} min`;
  const hours = Math.floor(Math.round(whole / 60) / 60);
  const rest = Math.round(whole / 60) % 60;
  return rest ? `${hours} h ${rest} min` : `${hours} h`;
}

/** "just now", "5 min ago", "3 h ago", then the date. Both in seconds since 1970. */
export function ago(time: number, now = Date.now() / 1000): string {
  const seconds = Math.max(0, now - time);
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(time * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = -1;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Four digits are enough: "0.1234", "12.3", "1.2e-5". */
export function measure(value: number): string {
  if (value === 0) return "0";
  const rough = Math.abs(value);
  if (rough < 1e-3 || rough >= 1e5) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

export interface Standing { ended: number; total: number; current: string | null; text: string; fraction: number }

/** Where the run is, as the bar says it: "3/11 · train 40/300 · 52 s left". */
export function standing(run: RunRecord, nodes: Record<string, NodeRun>): Standing {
  const runs = Object.entries(nodes);
  const total = Math.max(run.nodes, 1);
  const ended = Math.min(total, Math.max(run.finished, 0));
  const running = runs.filter(([, node]) => node.state === "running");
  // Of several at once the one that has the most to do is the one to wait for.
  const slowest = running.reduce<[string, NodeRun] | null>(
    (most, one) => (!most || (secondsLeft(one[1]) ?? 0) > (secondsLeft(most[1]) ?? 0) ? one : most), null);
  const parts: string[] = [];
  if (run.status === "waiting") parts.push("Waiting in the queue");
  else parts.push(`${ended}/${run.nodes}`);
  if (slowest) {
    const [id, node] = slowest;
    parts.push(node.total ? `${id} ${node.step}/${node.total}` : id);
    const left = secondsLeft(node);
    if (left !== null) parts.push(`${duration(left)} left`);
  }
  const part = running.reduce((sum, [, node]) => sum + (fraction(node) ?? 0), 0);
  return {
    ended, total, current: slowest?.[0] ?? null,
    text: run.stopping && !isOver(run) ? "Stopping after this step…" : parts.join(" · "),
    fraction: Math.min(1, (ended + part) / total),
  };
}

/** How many of the nodes have ended, as far as their events tell. */
export function countEnded(nodes: Record<string, NodeRun>): number {
  return Object.values(nodes).filter(hasEnded).length;
}
