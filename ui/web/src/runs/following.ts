/**
 * Which run the nodes show, and keeping that up to date: events are streamed while it is unfinished, replayed from the
 * first one when it is shown, and from the last one that came after every loss.
 *
 *     show(record);                       // another run: the nodes start from nothing
 *     show(record, { text, keep: true }); // a new run of what is on the canvas: old results stay until new ones come
 *
 * `live` says of a run that may be over already that its end is news.
 */
import { Lost, Refused, server } from "../server";
import { useRuns } from "../state/runs";
import { notify } from "../state/shell";
import type { NodeRun, ResultView, RunEvent, RunRecord, WorkflowDocument } from "../types";
import { participants } from "./participants";
import { isOver } from "./progress";
import { WAITING, takeAll } from "./reduce";

const REMEMBERED = "loragraph-run";
let reading: AbortController | null = null;
/** The number of the last event of the shown run that has been taken. */
let last = 0;
/** After which event one was missing: where it is missing again, the server has none. */
let hole = -1;
/** Ends the stream, not the following: it is asked for again. And since when the stream has been behind, in milliseconds. */
let restart: AbortController | null = null;
let behind = 0;
const TOO_LONG_BEHIND = 4000;
const FOREVER = 2 ** 31 - 1;
type Listener = (run: RunRecord, live: boolean) => void;
const listeners = new Set<Listener>();

/** Be told when all of a shown run has been read and it is over; `live`: it ended while it was followed, not long ago. */
export function onEnd(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function show(run: RunRecord | null, how: { text?: string; keep?: boolean; live?: boolean } = {}): void {
  reading?.abort();
  wanted.clear();
  last = behind = 0;
  hole = -1;
  if (!run) {
    useRuns.setState({ shown: null, nodes: {}, results: {} });
    remember(null);
    return;
  }
  reading = new AbortController();
  const before = useRuns.getState();
  // Of the nodes that take no part, those that have a result go on showing it.
  const nodes = how.keep ? Object.fromEntries(Object.entries(before.nodes).filter(([, node]) => node.state === "done" || node.state === "cached")) : {};
  useRuns.setState({ shown: run, nodes: how.text ? waiting(nodes, how.text, run) : nodes, results: how.keep ? before.results : {} });
  remember(run.id);
  void follow(run, how.text !== undefined, how.live ?? !isOver(run), reading.signal);
}

/** Follow no run any more; what is shown of it stays. */
export function stopFollowing(): void {
  reading?.abort();
}

/** The run that this tab showed before it was reloaded. */
export function remembered(): string | null {
  try {
    return sessionStorage.getItem(REMEMBERED);
  } catch {
    return null;
  }
}

function remember(id: string | null): void {
  try {
    if (id) sessionStorage.setItem(REMEMBERED, id);
    else sessionStorage.removeItem(REMEMBERED);
  } catch {
    // Without storage a reloaded page picks the newest run instead.
  }
}

/** Take a newer record of the shown run, such as the queue's; its events come by the stream. */
export function refresh(run: RunRecord): void {
  const { shown } = useRuns.getState();
  if (shown?.id !== run.id || run.last_seq < shown.last_seq) return;
  if (JSON.stringify(shown) !== JSON.stringify(run)) useRuns.setState({ shown: run });
  if (run.last_seq <= last || resting()) behind = 0;
  else if (hidden) wake?.();
  else if (!behind) behind = Date.now();
  else if (Date.now() - behind > TOO_LONG_BEHIND) {
    // There is more, but the stream does not bring it: a connection that broke without a word.
    behind = 0;
    restart?.abort();
  }
}

let wake: (() => void) | null = null;

async function follow(run: RunRecord, known: boolean, live: boolean, signal: AbortSignal): Promise<void> {
  let pause = 250;
  let filled = known || isOver(run);
  for (;;) {
    if (signal.aborted) return;
    try {
      while (resting() && !signal.aborted) await sleep(FOREVER, signal);
      if (signal.aborted) return;
      if (!filled) {
        const { text } = await server().call<{ text: string }>("run", { run: run.id });
        if (signal.aborted) return;
        useRuns.setState(({ nodes }) => ({ nodes: waiting({}, text, run, nodes) }));
        filled = true;
      }
      restart = new AbortController();
      for await (const batch of server().follow(run.id, last, AbortSignal.any([signal, restart.signal]))) {
        if (signal.aborted) return;
        pause = 250;
        if (!apply(batch.events, batch.run)) break;
      }
      if (signal.aborted) return;
      const { shown } = useRuns.getState();
      if (shown && isOver(shown) && last >= shown.last_seq) {
        // A listener may show the next run: what this one made is there before that.
        if (asking !== null) clearTimeout(asking);
        asking = null;
        await Promise.all([...fetching, fetchResults()]);
        if (signal.aborted) return;
        for (const listener of listeners) listener(shown, live);
        return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) {
        notify("error", "This run cannot be shown.", { detail: error.message });
        return;
      }
      if (!(error instanceof Lost)) throw error;
    }
    // While the server is lost nothing is asked here: `recover` wakes this up.
    await sleep(useRuns.getState().connection === "lost" ? FOREVER : pause, signal);
    pause = Math.min(pause * 2, 8000);
  }
}

/** Take a batch; false where events are missing, which then have to be asked for again. */
function apply(events: readonly RunEvent[], record: RunRecord): boolean {
  const fresh: RunEvent[] = [];
  let whole = true;
  for (const event of events) {
    if (event.seq <= last) continue;
    if (event.seq !== last + 1 && hole !== last) {
      hole = last;
      whole = false;
      break;
    }
    fresh.push(event);
    last = event.seq;
  }
  const { nodes, shown } = useRuns.getState();
  if (shown?.id !== record.id) return false;
  const newer = record.last_seq >= shown.last_seq ? record : shown;
  useRuns.setState(({ queue }) => ({ nodes: takeAll(nodes, fresh), shown: newer, queue: inQueue(queue, newer) }));
  for (const event of fresh) if (event.node && (event.kind === "node_done" || event.kind === "node_cached")) wanted.add(event.node);
  for (const event of fresh) if (event.node && (event.kind === "node_failed" || event.kind === "node_skipped")) dropResults(event.node);
  if (wanted.size) askResults();
  return whole;
}

/** The queue with this record in it: the panel shows an end as soon as the nodes do. The same where nothing to be seen has changed. */
function inQueue(queue: RunRecord[], record: RunRecord): RunRecord[] {
  const known = queue.find((run) => run.id === record.id);
  if (!known || (known.status === record.status && known.stopping === record.stopping && known.finished === record.finished)) return queue;
  return queue.map((run) => (run === known ? record : run));
}

function waiting(nodes: Record<string, NodeRun>, text: string, run: RunRecord, over: Record<string, NodeRun> = {}): Record<string, NodeRun> {
  let ids: string[] = [];
  try {
    ids = participants(JSON.parse(text) as WorkflowDocument, run.wanted);
  } catch {
    // A text that is not read here shows its nodes as their events come.
  }
  return { ...nodes, ...Object.fromEntries(ids.map((id) => [id, WAITING])), ...over };
}

// ---- results: fetched when nodes have ended, many at once -----------------------------------------------------------

const wanted = new Set<string>();
let asking: ReturnType<typeof setTimeout> | null = null;
const fetching = new Set<Promise<void>>();

function askResults(now = false): void {
  if (asking !== null) {
    if (!now) return;
    clearTimeout(asking);
  }
  asking = setTimeout(() => {
    asking = null;
    const fetch = fetchResults().finally(() => fetching.delete(fetch));
    fetching.add(fetch);
  }, now ? 0 : 40);
}

async function fetchResults(): Promise<void> {
  const { shown } = useRuns.getState();
  if (!shown || !wanted.size) return;
  const nodes = [...wanted];
  wanted.clear();
  try {
    const { results } = await server().call<{ results: Record<string, ResultView[]> }>("results", { run: shown.id, nodes });
    if (useRuns.getState().shown?.id !== shown.id) return;
    useRuns.setState((state) => ({
      results: { ...state.results, ...Object.fromEntries(nodes.map((id) => [id, results[id] ?? []])) },
    }));
  } catch (error) {
    if (useRuns.getState().shown?.id !== shown.id) return;
    if (error instanceof Lost) for (const id of nodes) wanted.add(id); // asked for again when the server is back
    else if (!(error instanceof Refused)) throw error;
  }
}

/**
 * A page that nobody sees does not hold a stream: a browser has six connections to a server, for all its tabs. What the
 * queue says of the run is enough there; when the page is seen again, or the run has ended, the events are caught up on.
 */
function resting(): boolean {
  const { shown } = useRuns.getState();
  return hidden && shown !== null && !isOver(shown);
}

let hidden = false;

/** Be told that the page is seen, or has not been for a while. */
export function setHidden(now: boolean): void {
  if (now === hidden) return;
  hidden = now;
  if (hidden && resting()) restart?.abort();
  else wake?.();
}

/** Ask again for what a lost server has not answered. */
export function recover(): void {
  if (wanted.size) askResults(true);
  wake?.();
}

function dropResults(id: string): void {
  const { results } = useRuns.getState();
  if (results[id]) useRuns.setState({ results: Object.fromEntries(Object.entries(results).filter(([node]) => node !== id)) });
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      if (wake === end) wake = null;
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
    wake = end;
  });
}
