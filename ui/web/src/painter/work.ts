/** What the painter holds while it is open, with its own undo: nothing of it reaches the graph before Apply. */
import { useCallback, useState } from "react";
import type { Layers } from "./layers";
import type { Paper } from "./picture";

export interface Work extends Paper { layers: Layers }

interface Steps { past: Work[]; now: Work; future: Work[]; merging: string | null }

const DEEPEST = 200;

export interface Editing {
  work: Work;
  changed: boolean;
  /** Successive changes with the same `merge` are one step. */
  change(change: Partial<Work>, merge?: string): void;
  undo: (() => void) | null;
  redo: (() => void) | null;
}

export function useWork(start: Work): Editing {
  const [steps, setSteps] = useState<Steps>({ past: [], now: start, future: [], merging: null });
  const change = useCallback((change: Partial<Work>, merge?: string) => setSteps((steps) => step(steps, change, merge)), []);
  return {
    work: steps.now,
    changed: steps.past.length > 0,
    change,
    undo: steps.past.length > 0 ? () => setSteps(back) : null,
    redo: steps.future.length > 0 ? () => setSteps(forth) : null,
  };
}

export function step({ past, now, merging }: Steps, change: Partial<Work>, merge?: string): Steps {
  const merged = merge !== undefined && merge === merging;
  return { past: merged ? past : [...past.slice(1 - DEEPEST), now], now: { ...now, ...change }, future: [], merging: merge ?? null };
}

export function back(steps: Steps): Steps {
  const last = steps.past.at(-1);
  return last ? { past: steps.past.slice(0, -1), now: last, future: [steps.now, ...steps.future], merging: null } : steps;
}

export function forth(steps: Steps): Steps {
  const [next, ...future] = steps.future;
  return next ? { past: [...steps.past, steps.now], now: next, future, merging: null } : steps;
}
