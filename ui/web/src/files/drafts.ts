/**
 * Autosave. What a tab shows is kept in the browser shortly after each edit, and is back after a reload, a crash or a
 * closed window.
 *
 *     const found = await restore();     // before anything else is loaded; true: the tab goes on where it was
 *     const stop = keepDrafts();         // from then on
 *
 * A tab's name lives in its sessionStorage, which a reload keeps and a copied tab inherits: tabs ask each other over a
 * BroadcastChannel who is there, and a copy takes a new name. Drafts of tabs that don't answer belong to closed ones.
 */
import { commitTyping } from "../commands";
import { fromDocument, toText } from "../graph/convert";
import { useGraph } from "../state/graph";
import { notify, openDialog, useShell } from "../state/shell";
import type { WorkflowDocument } from "../types";
import { type Draft, deleteDraft, readDraft, readDrafts, writeDraft } from "./store";

export type { Draft } from "./store";

/** How long after an edit the draft is written, in milliseconds. */
const DELAY = 800;
/** How long other tabs have to answer that they are there, in milliseconds. */
const ANSWER = 400;
const OLDEST = 30 * 24 * 3600 * 1000;
const TAB = "loragraph.tab";
const LAST_WORDS = "loragraph.draft";

const home = typeof location === "undefined" ? "" : location.origin + location.pathname;
// One number per page, to tell a copied tab from the one it was copied from.
const page = Math.random();
// What the tab was called when the page came: a copied tab shows what it was copied from, under a name of its own.
const came = { tab: session(TAB), last: session(LAST_WORDS) };
let tab = came.tab ?? newTab();
let kept: Record<string, unknown> | null = null;
let failing = false;
let timer: ReturnType<typeof setTimeout> | undefined;

/**
 * Bring back what this tab was showing before it was reloaded. False where there is nothing, or nothing unsaved and the
 * server was started for another file (`first`), or the page around gave a document of its own (`given`).
 */
export async function restore(first: { path: string | null } | null = null, given = false): Promise<boolean> {
  const last = parsed(came.last);
  const stored = came.tab === null ? undefined : await readDraft(came.tab).catch(() => undefined);
  const draft = [last, stored].filter((each) => each?.home === home).sort((a, b) => b!.time - a!.time)[0];
  if (!draft || (!draft.unsaved && (first?.path ? first.path !== draft.path : given && draft.path === null))) return false;
  return show(draft) && (draft.path !== null || Object.keys(useGraph.getState().graph.nodes).length > 0);
}

/** Keep the graph after each edit until the returned function is called. */
export function keepDrafts(): () => void {
  const stops = [
    useGraph.subscribe((now, before) => { if (now.graph !== before.graph || now.saved !== before.saved) later(); }),
    useShell.subscribe((now, before) => { if (now.file !== before.file) later(); }),
    listen(window, "pagehide", lastWords),
    listen(document, "visibilitychange", () => { if (document.visibilityState === "hidden") lastWords(); }),
    listen(window, "beforeunload", (event) => {
      commitTyping();
      if (unsaved() && !lastWords()) event.preventDefault();
    }),
    answer(),
  ];
  kept = marks();
  return () => {
    lastWords();
    for (const stop of stops) stop();
  };
}

/** Drafts with unsaved work of tabs that are no longer open, newest first. Old ones are thrown away on the way. */
export async function closedDrafts(): Promise<Draft[]> {
  const [drafts, open] = await Promise.all([readDrafts(), openTabs()]);
  const closed = drafts.filter((draft) => draft.home === home && draft.tab !== tab && !open.has(draft.tab));
  const over = closed.filter((draft) => !draft.unsaved || Date.now() - draft.time > OLDEST);
  await Promise.all(over.map((draft) => deleteDraft(draft.tab)));
  return closed.filter((draft) => !over.includes(draft)).sort((a, b) => b.time - a.time);
}

/** Tell, once after the start, that a closed tab left unsaved work. */
export async function offerDrafts(): Promise<void> {
  const drafts = await closedDrafts().catch(() => []);
  if (!drafts.length) return;
  const what = drafts.length === 1 ? `"${drafts[0]!.title || drafts[0]!.name}"` : `${drafts.length} workflows`;
  notify("info", `Unsaved work on ${what} was kept from a tab that was closed.`, {
    action: { label: "Show", run: () => openDialog("open", { tab: "drafts" }) }, other: { label: "Not now", run: () => {} },
  });
}

/** Go on with a draft of a closed tab: from now on it is this tab's. */
export async function takeDraft(draft: Draft): Promise<void> {
  if (!show(draft) || draft.tab === tab) return;
  await keep();
  if (!failing) await deleteDraft(draft.tab).catch(() => {});
}

export async function dropDraft(draft: Draft): Promise<void> {
  await deleteDraft(draft.tab);
}

export function unsaved(): boolean {
  const { graph, saved } = useGraph.getState();
  return graph !== saved;
}

function show(draft: Draft): boolean {
  try {
    const document = JSON.parse(draft.text) as WorkflowDocument;
    const { catalog, load } = useGraph.getState();
    useShell.setState({ file: { name: draft.name, path: draft.path, revision: draft.revision } });
    load(fromDocument(document, catalog), draft.unsaved);
    return true;
  } catch {
    return false;
  }
}

function current(): Draft {
  const { graph } = useGraph.getState();
  const { name, path, revision } = useShell.getState().file;
  return { tab, home, text: toText(graph), unsaved: unsaved(), title: graph.title, name, path, revision, time: Date.now() };
}

/** What a draft is made of: as long as these are the same objects, the draft is up to date. */
function marks(): Record<string, unknown> {
  const { graph, saved } = useGraph.getState();
  return { graph, saved, file: useShell.getState().file };
}

function isKept(): boolean {
  const now = marks();
  return kept !== null && Object.keys(now).every((key) => now[key] === kept![key]);
}

function later(): void {
  clearTimeout(timer);
  timer = setTimeout(() => void keep(), DELAY);
}

async function keep(): Promise<void> {
  const now = marks();
  try {
    await writeDraft(current());
    kept = now;
    failing = false;
  } catch (error) {
    if (!failing) {
      notify("warning", "This browser can't keep a copy of your work: save it before you close the page.", {
        detail: error instanceof Error ? error.message : String(error),
      });
    }
    failing = true;
  }
}

/** Keep what the last edits changed, at once, for a page that is about to go. False where that failed. */
function lastWords(): boolean {
  if (isKept()) return true;
  clearTimeout(timer);
  void keep();
  try {
    sessionStorage.setItem(LAST_WORDS, JSON.stringify(current()));
    return true;
  } catch {
    return false;
  }
}

// ---- which tabs are open ------------------------------------------------------------------------------------------

interface Word { say: "who" | "here"; tab: string; page: number }

/** Answer other tabs, and find out whether this one is a copy of another. */
function answer(): () => void {
  if (typeof BroadcastChannel === "undefined") return () => {};
  const channel = new BroadcastChannel("loragraph");
  channel.addEventListener("message", ({ data }: MessageEvent<Word>) => {
    if (data.say === "who") tell(channel, { say: "here", tab, page });
    else if (data.tab === tab && data.page !== page && asking) {
      tab = newTab();
      later();
    }
  });
  let asking = true;
  setTimeout(() => { asking = false; }, ANSWER);
  tell(channel, { say: "who", tab, page });
  return () => channel.close();
}

function openTabs(): Promise<Set<string>> {
  const found = new Set<string>();
  if (typeof BroadcastChannel === "undefined") return Promise.resolve(found);
  const channel = new BroadcastChannel("loragraph");
  channel.addEventListener("message", ({ data }: MessageEvent<Word>) => { if (data.say === "here") found.add(data.tab); });
  tell(channel, { say: "who", tab: "", page });
  return new Promise((done) => setTimeout(() => { channel.close(); done(found); }, ANSWER));
}

function tell(channel: BroadcastChannel, word: Word): void {
  // A channel reaches pages of this origin alone, and takes no target.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  channel.postMessage(word);
}

function newTab(): string {
  const name = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
  try {
    sessionStorage.setItem(TAB, name);
    sessionStorage.removeItem(LAST_WORDS);
  } catch {
    // Without session storage a reload starts anew; the draft is offered as that of a closed tab.
  }
  return name;
}

function session(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

function parsed(text: string | null): Draft | undefined {
  try {
    return text === null ? undefined : (JSON.parse(text) as Draft);
  } catch {
    return undefined;
  }
}

function listen<E extends Event>(target: EventTarget, name: string, run: (event: E) => void): () => void {
  target.addEventListener(name, run as EventListener);
  return () => target.removeEventListener(name, run as EventListener);
}
