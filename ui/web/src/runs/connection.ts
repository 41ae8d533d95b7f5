/**
 * The page's tie to the server: it is made when the canvas is mounted, and holds through what may happen to the server.
 *
 * At the start: catalog, then what to show (this tab's draft, else the file of the command line, else the workflow of a run
 * that goes on), then the queue, asked for every second or so. A server that does not answer is "lost": the page says so,
 * keeps what there is, and goes on asking; when it is back, the catalog is read anew if the version has changed, and the
 * shown run goes on from its last event.
 */
import { find, perform } from "../commands";
import { fromDocument, toDocument, toText } from "../graph/convert";
import { type Opened, showOpened } from "../files/documents";
import { restore } from "../files/drafts";
import { Lost, Refused, server, setServer } from "../server";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import { notify, useShell, type Workspace } from "../state/shell";
import type { Catalog, RunRecord } from "../types";
import { view } from "../canvas/view";
import { recheck, watchGraph } from "./checking";
import { chooseFirst, watchDocument } from "./choosing";
import "./commands";
import { goOn, sayEnding } from "./ending";
import { onEnd, recover, refresh, setHidden, stopFollowing } from "./following";
import { takeQueue } from "./submitting";
import { makeServer } from "./transport";

/** What the page's loader (ui/canvas.py) hands over: Gradio's own helpers, and where the server is. */
export interface MountOptions {
  /** Text of the document to show first; "" for none. */
  value: string;
  /** The page's address up to and without "/gradio_api". */
  root: string;
  apiPrefix: string;
  call: (method: string, data: Record<string, unknown>) => Promise<unknown>;
  upload: (file: File) => Promise<{ path: string }>;
  /** Told (debounced) of the document's text after edits. */
  onChange: (text: string) => void;
}

interface First { text: string; name: string; path: string | null; revision: string | null }
interface Start extends Record<string, unknown> { catalog: Catalog; workspace: Workspace; first: First | null }

/** How often the queue is asked for, in milliseconds: seen, hidden, and (doubling up to the second) while the server is lost. */
const SEEN = 1500;
const HIDDEN = 5000;
const LOST = [500, 5000] as const;
const TELL = 500;
/** How long a page is hidden before it lets go of its stream. */
const UNSEEN = 15_000;

export function connect(options: MountOptions): { setValue(text: string): void; close(): void } {
  const stops: (() => void)[] = [];
  let closed = false;
  let started = false;
  let known: number | string | null = null;
  let pause: number = LOST[0];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let polling = false;
  let value = options.value;
  /** The text that Gradio was last told; it may say it back later, which means nothing new. */
  let told: string | null = null;

  const lose = (): void => {
    if (useRuns.getState().connection === "lost") return;
    useRuns.setState({ connection: "lost" });
    known = null;
    pause = LOST[0];
    next(pause);
  };
  setServer(makeServer(options, lose, () => next(0)));
  exposeForTests();

  function next(milliseconds: number): void {
    clearTimeout(timer);
    if (!closed) timer = setTimeout(() => void tick(), milliseconds);
  }

  async function tick(): Promise<void> {
    if (polling) return;
    polling = true;
    try {
      if (started) await poll();
      else await start();
      pause = LOST[0];
      next(document.visibilityState === "hidden" ? HIDDEN : SEEN);
    } catch (error) {
      if (error instanceof Lost) {
        pause = Math.min(pause * 2, LOST[1]);
        next(pause);
      } else {
        next(HIDDEN);
        if (!(error instanceof Refused)) throw error;
        if (!started) notify("error", "The server did not say what there is to work with.", { detail: error.message });
      }
    } finally {
      polling = false;
    }
  }

  async function start(): Promise<void> {
    const { catalog, workspace, first } = await server().call<Start>("catalog");
    takeCatalog(catalog);
    useShell.setState({ workspace });
    useRuns.setState({ connection: "connected" });
    // Something is there already where the canvas was taken out of the page for a while, or the server at the start.
    const restored = hasWork() || await restore(first, value !== "");
    if (!restored && value) await showText(value);
    else if (!restored && first) await showText(first.text, first);
    if (closed) return;
    started = true;
    stops.push(watchGraph(), tellChanges((text) => options.onChange(told = text)), onEnd(recheck), onEnd(sayEnding), onEnd(goOn));
    await poll();
    await chooseFirst(restored);
    stops.push(watchDocument());
  }

  async function poll(): Promise<void> {
    const answer = await server().call<{ revision: number | string; queue: RunRecord[] | null }>("queue", known === null ? {} : { known });
    known = answer.revision;
    if (answer.queue) takeQueue(answer.queue);
    const { shown, queue, connection } = useRuns.getState();
    const mine = shown && queue.find((run) => run.id === shown.id);
    if (mine) refresh(mine);
    if (connection === "lost") await regain();
  }

  let unseen: ReturnType<typeof setTimeout> | undefined;
  const wakeUp = (): void => {
    clearTimeout(unseen);
    if (document.visibilityState === "visible") {
      setHidden(false);
      next(0);
    } else unseen = setTimeout(() => setHidden(true), UNSEEN);
  };
  document.addEventListener("visibilitychange", wakeUp);
  window.addEventListener("online", wakeUp);
  stops.push(() => {
    clearTimeout(unseen);
    document.removeEventListener("visibilitychange", wakeUp);
    window.removeEventListener("online", wakeUp);
  });
  next(0);

  return {
    setValue(text) {
      if (!started) {
        value = text;
        return;
      }
      if (!text || text === told || text === toText(useGraph.getState().graph)) return;
      void showText(text).catch((error: unknown) => {
        if (!(error instanceof Lost)) throw error;
        notify("warning", "The server cannot be reached: the workflow was not opened.");
      });
    },
    close() {
      closed = true;
      clearTimeout(timer);
      for (const stop of stops) stop();
      stopFollowing();
    },
  };
}

function bare<T>(items: Record<string, T>): Record<string, T> {
  return Object.assign(Object.create(null) as Record<string, T>, items);
}

/** Without a prototype: a file may name any type, and must not find "constructor" installed. */
function takeCatalog({ nodes, values }: Catalog): void {
  useGraph.setState({ catalog: { nodes: bare(nodes), values: bare(values) } });
}

function hasWork(): boolean {
  const { graph, past } = useGraph.getState();
  return past.length > 0 || Object.keys(graph.nodes).length > 0;
}

/** The server is back, perhaps another one: with other node types, and without the connection of before. */
async function regain(): Promise<void> {
  const { catalog, workspace } = await server().call<Start>("catalog");
  // Also of the same version: it may have been restarted for a package of nodes that was installed.
  if (JSON.stringify(catalog) !== JSON.stringify(useGraph.getState().catalog)) takeCatalog(catalog);
  if (workspace.version !== useShell.getState().workspace.version) {
    notify("info", `The server now runs version ${workspace.version}. Reload the page to get its canvas as well.`, {
      action: { label: "Reload", run: () => location.reload() },
    });
  }
  useShell.setState({ workspace });
  useRuns.setState({ connection: "connected" });
  recover();
  recheck();
}

async function showText(text: string, place: Partial<First> = {}): Promise<void> {
  try {
    const opened = await server().call<Opened & Record<string, unknown>>("open", { text, name: place.name ?? useShell.getState().file.name });
    showOpened({
      ...opened, name: place.name ?? opened.name, path: place.path ?? opened.path, revision: place.revision ?? opened.revision,
    });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    notify("error", `“${place.name ?? "The workflow"}” could not be opened.`, { detail: error.message });
  }
}

/** Tell Gradio of the document's text some time after edits, so that Python sees it. */
function tellChanges(onChange: (text: string) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = useGraph.subscribe((state, before) => {
    if (state.graph === before.graph) return;
    clearTimeout(timer);
    timer = setTimeout(() => onChange(toText(useGraph.getState().graph)), TELL);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/** With ?test=1 the browser's tests may look inside. */
function exposeForTests(): void {
  const page = window as unknown as Record<string, unknown>;
  if (!page["__lgTest"] && new URLSearchParams(location.search).get("test") !== "1") return;
  page["__lg"] = { useGraph, useRuns, useShell, perform, find, view, toDocument, fromDocument };
}
