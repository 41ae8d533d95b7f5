/** The rest of what the page shows: which panels and dialogs are open, the theme, passing notices, the open file. */
import { create } from "zustand";

export type Theme = "light" | "dark" | "system";
export type Panel = "none" | "queue" | "gallery" | "problems";

export interface Offer { label: string; run: () => void }

/** `kind` chooses the icon and how long it stays; an error, and whatever asks for a choice between two, stays until it is closed. */
export interface Notice {
  id: number; kind: "info" | "good" | "warning" | "error"; text: string; detail?: string; action?: Offer; other?: Offer;
}

/** The open document's place: `path` null where it has no file on the server; `revision` is what was opened or saved. */
export interface OpenFile { name: string; path: string | null; revision: string | null }

export interface Workspace { version: string; folder: string; out: string; home: string; devices: string[]; url: string; user: string | null }

export interface ShellState {
  theme: Theme;
  panel: Panel;
  palette: boolean;
  minimap: boolean;
  /** The name of the dialog that is open and what it was opened with: "templates", "open", "shortcuts", "quick-add", … */
  dialog: { name: string; data?: unknown } | null;
  notices: Notice[];
  file: OpenFile;
  workspace: Workspace;
}

export const useShell = create<ShellState>()(() => ({
  theme: "system",
  panel: "none",
  palette: true,
  minimap: true,
  dialog: null,
  notices: [],
  file: { name: "workflow", path: null, revision: null },
  workspace: { version: "", folder: "", out: "", home: "", devices: [], url: "", user: null },
}));

let lastNotice = 0;

/** Show a passing notice, once for the same text; returns its id. Notices but errors go after some seconds. */
export function notify(kind: Notice["kind"], text: string, more: Pick<Notice, "detail" | "action" | "other"> = {}): number {
  const id = ++lastNotice;
  useShell.setState(({ notices }) => ({ notices: [...notices.filter((each) => each.text !== text).slice(-3), { id, kind, text, ...more }] }));
  if (kind !== "error" && !more.other) setTimeout(() => dismiss(id), kind === "warning" ? 12_000 : 6_000);
  return id;
}

export function dismiss(id: number): void {
  useShell.setState(({ notices }) => ({ notices: notices.filter((notice) => notice.id !== id) }));
}

export function openDialog(name: string, data?: unknown): void {
  useShell.setState({ dialog: { name, data } });
}

export function closeDialog(): void {
  useShell.setState({ dialog: null });
}
