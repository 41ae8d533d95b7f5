/**
 * The graph being edited, its selection and its undo history.
 *
 *     useGraph.getState().edit("move", (graph) => moveItems(graph, ids, [10, 0]), "drag")
 *
 * Every change goes through `edit`, which takes a pure function (see graph/operations.ts) and makes one undo step of it;
 * successive edits with the same `merge` key (one drag, one field being typed) make one step together. Undo is cheap:
 * graphs are immutable and share what has not changed.
 */
import { create } from "zustand";
import type { Catalog, Graph, Problem } from "../types";

export const EMPTY: Graph = { title: "", nodes: {}, wires: [], groups: {}, notes: {}, extra: {} };

interface Step { label: string; graph: Graph }

export interface GraphState {
  catalog: Catalog;
  graph: Graph;
  /** Ids of nodes, wires, groups and notes; they never clash: groups begin with "#g", notes with "#n", wires hold "→". */
  selection: ReadonlySet<string>;
  past: Step[];
  future: Step[];
  merging: string | null;
  /** How many documents have been shown: an answer that was asked for with another count is for another document. */
  loads: number;
  /** The graph that was last saved to (or opened from) where it belongs: `graph !== saved` means unsaved changes. */
  saved: Graph;
  /** What the server says is wrong, and which nodes would give another result than the one shown. */
  problems: Problem[];
  keys: Record<string, string>;
  ready: ReadonlySet<string>;

  edit(label: string, change: (graph: Graph) => Graph, merge?: string): void;
  /** End the merging of edits: what comes next is a step of its own. */
  settle(): void;
  undo(): void;
  redo(): void;
  select(ids: Iterable<string>): void;
  /** Show another document: history and selection are gone, nothing is unsaved (but where `unsaved` says so). */
  load(graph: Graph, unsaved?: boolean): void;
  markSaved(): void;
  judge(problems: Problem[], keys: Record<string, string>, ready: Iterable<string>): void;
}

const DEEPEST = 500;

export const useGraph = create<GraphState>()((set, get) => ({
  catalog: { nodes: {}, values: {} },
  graph: EMPTY,
  selection: new Set(),
  past: [],
  future: [],
  merging: null,
  loads: 0,
  saved: EMPTY,
  problems: [],
  keys: {},
  ready: new Set(),

  edit(label, change, merge) {
    const { graph, past, merging } = get();
    const next = change(graph);
    if (next === graph) return;
    const merged = merge !== undefined && merge === merging;
    set({
      graph: next,
      past: merged ? past : [...past.slice(1 - DEEPEST), { label, graph }],
      future: [],
      merging: merge ?? null,
    });
  },
  settle() {
    if (get().merging !== null) set({ merging: null });
  },
  undo() {
    const { graph, past, future } = get();
    const last = past.at(-1);
    if (!last) return;
    set({ graph: last.graph, past: past.slice(0, -1), future: [{ label: last.label, graph }, ...future], merging: null });
    keepSelectable();
  },
  redo() {
    const { graph, past, future } = get();
    const next = future[0];
    if (!next) return;
    set({ graph: next.graph, past: [...past, { label: next.label, graph }], future: future.slice(1), merging: null });
    keepSelectable();
  },
  select(ids) {
    const next = new Set(ids);
    const now = get().selection;
    if (next.size === now.size && [...next].every((id) => now.has(id))) return;
    // What is moved with the keys after another choice is a step of its own.
    set({ selection: next, merging: null });
  },
  load(graph, unsaved = false) {
    set({
      graph, loads: get().loads + 1, saved: unsaved ? EMPTY : graph, past: [], future: [], merging: null, selection: new Set(),
      problems: [], keys: {}, ready: new Set(),
    });
  },
  markSaved() {
    set({ saved: get().graph });
  },
  judge(problems, keys, ready) {
    set({ problems, keys, ready: new Set(ready) });
  },
}));

/** Drop from the selection what undo or redo took away. */
function keepSelectable(): void {
  const { graph, selection, select } = useGraph.getState();
  const wires = new Set(graph.wires.map((wire) => wire.id));
  select([...selection].filter((id) => id in graph.nodes || id in graph.groups || id in graph.notes || wires.has(id)));
}
