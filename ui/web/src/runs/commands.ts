/** What can be done with runs, for the menus and the keyboard. */
import { register } from "../commands";
import { useRuns } from "../state/runs";
import { type Panel, useShell } from "../state/shell";
import { cancel, chosen, runAll, runFrom, runTo, toCancel } from "./submitting";

// An empty canvas may be run too: the run says that there is nothing to run.
const reachable = (): boolean => useRuns.getState().connection === "connected";
const some = (): boolean => reachable() && chosen().length > 0;

export function togglePanel(panel: Panel): void {
  useShell.setState((state) => ({ panel: state.panel === panel ? "none" : panel }));
}

register(
  { id: "run.all", title: "Run", section: "Run", keys: ["Mod+Enter"], enabled: reachable, run: () => runAll() },
  { id: "run.to", title: "Run to the selected nodes", section: "Run", keys: ["Mod+Shift+Enter"], enabled: some, run: runTo },
  { id: "run.from", title: "Run from the selected nodes", section: "Run", enabled: some, run: runFrom },
  { id: "run.front", title: "Run before all that waits", section: "Run", enabled: reachable, run: () => runAll(true) },
  { id: "run.cancel", title: "Cancel the run", section: "Run", keys: ["Mod+."], enabled: () => toCancel() !== null, run: () => cancel() },
  { id: "view.panels.queue", title: "Queue and history", section: "View", keys: ["Q"], run: () => togglePanel("queue") },
  { id: "view.panels.gallery", title: "Gallery", section: "View", keys: ["I"], run: () => togglePanel("gallery") },
  { id: "view.panels.problems", title: "Problems", section: "View", keys: ["P"], run: () => togglePanel("problems") },
);
