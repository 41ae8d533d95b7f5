/**
 * Copy and paste. What is copied is a workflow's text, so it goes between tabs, into a file, or into a chat, and back; a
 * whole workflow's text can be pasted too.
 *
 * The keys work through the browser's own copy, cut and paste events, which need no permission. The menus have to ask
 * the browser for its clipboard; where that is refused, what was last copied on this page is pasted.
 */
import { around, sizes } from "../canvas/geometry";
import { pointed } from "../canvas/place";
import { useCanvas } from "../canvas/state";
import { view } from "../canvas/view";
import { useGraph } from "../state/graph";
import { notify } from "../state/shell";
import type { Graph, Point } from "../types";
import { FORMAT, fromDocument, toText } from "./convert";
import { insert, part, readable } from "./copies";
import { reservedNames } from "./names";
import { remove } from "./operations";

let memory = "";
let lastPaste: { text: string; at: string; times: number } | null = null;

/** The selected nodes, groups and notes as text; null without any. */
export function selectedText(): string | null {
  const { graph, selection } = useGraph.getState();
  const copied = part(graph, selection);
  const count = [copied.nodes, copied.groups, copied.notes].reduce((sum, items) => sum + Object.keys(items).length, 0);
  if (!count) return null;
  memory = toText(copied);
  return memory;
}

/** Copy the selection, for the menus. */
export async function copySelection(): Promise<void> {
  const text = selectedText();
  if (text === null) return;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages that are not served over HTTPS have no clipboard of their own: the memory serves this tab.
  }
}

export async function cutSelection(): Promise<void> {
  await copySelection();
  removeSelected("cut");
}

export function removeSelected(label: string): void {
  const { edit, selection } = useGraph.getState();
  edit(label, (graph) => remove(graph, selection));
  useGraph.getState().select([]);
}

/** Paste, for the menus. */
export async function paste(client: Point | null = pointed()): Promise<void> {
  let text = memory;
  try {
    text = (await navigator.clipboard.readText()) || memory;
  } catch {
    // Not allowed: what this page copied last.
  }
  pasteText(text, client);
}

/** Put a workflow's text onto the canvas, its middle at a place of the window; says so where it is none. */
export function pasteText(text: string, client: Point | null): boolean {
  const source = read(text);
  if (!source) return false;
  const { catalog, edit, select } = useGraph.getState();
  const box = around(source, [...Object.keys(source.nodes), ...Object.keys(source.groups), ...Object.keys(source.notes)], sizes(source, catalog, useCanvas.getState().media));
  if (!box) return false;
  const [x, y] = (client ? view()?.toGraph(client) : view()?.centre()) ?? [0, 0];
  const where = `${Math.round(x)},${Math.round(y)}`;
  const times = lastPaste?.text === text && lastPaste.at === where ? lastPaste.times + 1 : 0;
  lastPaste = { text, at: where, times };
  const shift: Point = [x - box.at[0] - box.size[0] / 2 + 30 * times, y - box.at[1] - box.size[1] / 2 + 30 * times];
  let ids: string[] = [];
  edit("paste", (graph) => {
    const made = insert(graph, source, [Math.round(shift[0] / 10) * 10, Math.round(shift[1] / 10) * 10]);
    ids = made.ids;
    return made.graph;
  });
  select(ids);
  return true;
}

function read(text: string): Graph | null {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Any other text: said below.
  }
  if (!readable(value) || reservedNames(value).length) {
    notify("warning", text.trim() === "" ? "There is nothing to paste." : "The clipboard holds no nodes.", { detail: "Copy nodes, or the text of a workflow file." });
    return null;
  }
  if (value.format !== FORMAT) {
    notify("warning", `What was copied is of the format ${value.format}; this version reads ${FORMAT}.`, { detail: "Update LoRAGraph to paste it." });
    return null;
  }
  return fromDocument(value, useGraph.getState().catalog);
}
