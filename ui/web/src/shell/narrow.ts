/**
 * On a narrow window the list of nodes and the panel would leave the canvas no room between them: opening one closes the
 * other. Nothing of that is remembered for wider windows.
 */
import { useShell } from "../state/shell";

/** Below this, in pixels, the window is narrow. */
export const NARROW = 1000;

/** Keep at most one open until the returned function is called. */
export function keepOneOpen(): () => void {
  return useShell.subscribe((now, before) => {
    if (innerWidth >= NARROW || !now.palette || now.panel === "none") return;
    useShell.setState(before.palette ? { palette: false } : { panel: "none" });
  });
}
