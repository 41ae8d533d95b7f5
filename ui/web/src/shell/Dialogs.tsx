/** The dialog that is open, whichever it is: loaded when it is needed, and tried again the next time if that failed. */
import { Component, type ComponentType, type ReactNode, useEffect, useState } from "react";
import { closeDialog, notify, useShell } from "../state/shell";
import { type DialogComponent, dialogOf, registerDialog } from "./registry";

type Own = typeof import("./own");

const OWN: Record<string, keyof Own> = {
  ask: "askDialog", shortcuts: "shortcuts", find: "findNode", commands: "commandList", "quick-add": "quickAdd", open: "open", templates: "templates",
  "save-as": "saveAs", conflict: "conflict", unreadable: "unreadable", missing: "missing", "command-line": "commandLine", api: "apiDialog",
};

for (const [name, key] of Object.entries(OWN)) {
  registerDialog(name, async () => ({ default: (await import("./own"))[key] as DialogComponent }));
}

/** How long after the start the dialogs are fetched, in milliseconds: first things first. */
const SOON = 2500;

interface Loaded { name: string; Shown: ComponentType<{ data: unknown }> }

export function Dialogs() {
  const dialog = useShell((state) => state.dialog);
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const name = dialog?.name;
  useEffect(() => {
    // Where that fails, they are asked for again when they are needed.
    const timer = setTimeout(() => import("./own").catch(() => {}), SOON);
    return () => clearTimeout(timer);
  }, []);
  useEffect(() => {
    if (name === undefined) return;
    let wanted = true;
    const load = dialogOf(name);
    load?.().then(
      ({ default: Shown }) => { if (wanted) setLoaded({ name, Shown: Shown as Loaded["Shown"] }); },
      (error: unknown) => { if (wanted) failed(error); },
    );
    return () => { wanted = false; };
  }, [name]);
  if (!dialog || loaded?.name !== dialog.name) return null;
  return <Guard key={dialog.name}><loaded.Shown key={String(dialogNumber(dialog))} data={dialog.data} /></Guard>;
}

// Opening a dialog again, with other data, shows it afresh.
const numbers = new WeakMap<object, number>();
let last = 0;

function dialogNumber(dialog: object): number {
  const known = numbers.get(dialog) ?? ++last;
  numbers.set(dialog, known);
  return known;
}

function failed(error: unknown): void {
  closeDialog();
  notify("error", "This can't be shown now.", { detail: error instanceof Error ? error.message : String(error) });
}

/** A dialog that fails closes with a notice, and leaves the canvas as it is. */
class Guard extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() { return { failed: true }; }

  override componentDidCatch(error: Error) { failed(error); }

  override render() { return this.state.failed ? null : this.props.children; }
}
