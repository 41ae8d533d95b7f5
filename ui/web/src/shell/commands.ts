/** What the page itself can do: look different, show its panels, find things, explain its keys. */
import { register } from "../commands";
import { useGraph } from "../state/graph";
import { type Theme, openDialog, useShell } from "../state/shell";
import { NARROW } from "./narrow";
import { remember, remembered } from "./remember";
import { setTheme } from "./theme";

const theme = (name: Theme) => () => setTheme(name);

register(
  { id: "edit.search.find", title: "Find a node…", section: "Edit", keys: ["Mod+F"], enabled: hasNodes, run: () => openDialog("find") },
  { id: "edit.search.commands", title: "All commands…", section: "Edit", keys: ["Mod+K"], run: () => openDialog("commands") },
  { id: "view.panels.palette", title: "Node list", section: "View", keys: ["A"], run: togglePalette },
  { id: "view.theme.light", title: "Light theme", section: "View", run: theme("light") },
  { id: "view.theme.dark", title: "Dark theme", section: "View", run: theme("dark") },
  { id: "view.theme.system", title: "The system's theme", section: "View", run: theme("system") },
  { id: "view.help.keys", title: "Keyboard shortcuts", section: "View", keys: ["?"], run: () => openDialog("shortcuts") },
);

function hasNodes(): boolean {
  return Object.keys(useGraph.getState().graph.nodes).length > 0;
}

export function togglePalette(): void {
  const palette = !useShell.getState().palette;
  useShell.setState({ palette });
  remember("palette", palette);
}

// On a narrow screen the canvas needs the room more than the list does.
useShell.setState({ palette: remembered("palette", typeof innerWidth === "undefined" || innerWidth >= NARROW) });
