/** The runs that this page has submitted, and which of them is shown after one that has ended. */
import type { RunRecord } from "../types";
import { isOver } from "./progress";

/** A run of this page: `loads` says of which document (each one that is opened counts up), `text` is what was run. */
export interface Sent { id: string; loads: number; text: string }

let sent: readonly Sent[] = [];

/** Remember a run that was just submitted; those of documents that are no longer open are forgotten. */
export function remember(run: Sent): void {
  sent = [...sent.filter(({ id, loads }) => loads === run.loads && id !== run.id), run];
}

/** The run to go on with after `over`, for the document that is open; null where there is none. */
export function nextOfMine(over: string, queue: readonly RunRecord[], loads: number): { run: RunRecord; text: string } | null {
  return after(over, sent.filter((run) => run.loads === loads), queue);
}

/**
 * Of runs in the order in which they were submitted: the one that runs, else the first that waits, else the last of those
 * submitted after `over` that came to an end of their own. Those that were cancelled or removed have nothing to show.
 */
export function after(over: string, mine: readonly Sent[], queue: readonly RunRecord[]): { run: RunRecord; text: string } | null {
  const known = mine.flatMap(({ id, text }) => {
    const run = queue.find((each) => each.id === id);
    return run && id !== over ? [{ run, text }] : [];
  });
  const open = known.filter(({ run }) => !isOver(run));
  if (open.length) return open.find(({ run }) => run.status === "running") ?? open.reduce((first, one) => (one.run.position < first.run.position ? one : first));
  const from = mine.findIndex(({ id }) => id === over);
  const newer = new Set(from < 0 ? [] : mine.slice(from + 1).map(({ id }) => id));
  return known.findLast(({ run }) => newer.has(run.id) && run.status !== "cancelled") ?? null;
}
