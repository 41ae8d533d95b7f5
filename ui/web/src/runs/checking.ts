/**
 * Keeping the server's judgement of the graph up to date: after edits (not while they go on) it is asked what is wrong,
 * and which key each node's result would have. Moving nodes about changes neither, so it asks nothing.
 */
import { toDocument, toText } from "../graph/convert";
import { Lost, Refused, server } from "../server";
import { useGraph } from "../state/graph";
import { useShell } from "../state/shell";
import type { Graph, Problem } from "../types";

const AFTER = 400;

interface Judgement { problems: Problem[]; keys: Record<string, string>; ready: string[] }

let timer: ReturnType<typeof setTimeout> | null = null;
let asking = false;
let again = false;
/** What was judged last, without its layout; null: ask in any case. */
let judged: string | null = null;

/** Watch the graph until the returned function is called. */
export function watchGraph(): () => void {
  const stop = useGraph.subscribe((state, before) => {
    if (state.graph === before.graph) return;
    // A document that was just loaded has no judgement yet, though it may mean the same as the one before.
    if (state.loads !== before.loads) judged = null;
    later(AFTER);
  });
  judged = null;
  if (Object.keys(useGraph.getState().graph.nodes).length) later(0);
  return () => {
    stop();
    if (timer !== null) clearTimeout(timer);
    timer = null;
  };
}

/** Ask again although nothing was edited: a run has ended, the server is back. */
export function recheck(): void {
  judged = null;
  later(0);
}

/** What a graph means, apart from how it is laid out. */
export function meaning(graph: Graph): string {
  const { view: _, ...meant } = toDocument(graph);
  return JSON.stringify(meant);
}

function later(milliseconds: number): void {
  if (timer !== null) clearTimeout(timer);
  timer = setTimeout(() => {
    timer = null;
    void check();
  }, milliseconds);
}

async function check(): Promise<void> {
  if (asking) {
    again = true;
    return;
  }
  const { graph, loads, judge } = useGraph.getState();
  const isThis = (): boolean => useGraph.getState().loads === loads;
  const meant = meaning(graph);
  if (meant === judged) return;
  if (!Object.keys(graph.nodes).length) {
    judged = meant;
    judge([], {}, []);
    return;
  }
  asking = true;
  try {
    const answer = await server().call<Judgement>("check", { text: toText(graph), path: useShell.getState().file.path });
    // Another document was opened meanwhile: this answer is not about it, and it is asked about next.
    if (!isThis()) return;
    // What was edited meanwhile is judged right after; until then the marks on untouched nodes are as good as new.
    judged = meant;
    judge(answer.problems, answer.keys, answer.ready);
  } catch (error) {
    if (error instanceof Refused) {
      if (isThis()) judge(error.problems.length ? error.problems : [problem(error.message)], {}, []);
    } else if (!(error instanceof Lost)) throw error; // when the server is back, `recheck` asks again
  } finally {
    asking = false;
    if (again) {
      again = false;
      later(0);
    }
  }
}

function problem(message: string): Problem {
  return { node: null, field: null, message, hint: "" };
}
