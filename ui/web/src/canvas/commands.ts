/** What can be done on the canvas, for menus and keys: editing and adding. Arranging and viewing are beside. */
import { type Command, register } from "../commands";
import { copySelection, cutSelection, paste, removeSelected } from "../graph/clipboard";
import { duplicate } from "../graph/copies";
import { collapse, expand, removeBridging, toggleMode } from "../graph/operations";
import { useGraph } from "../state/graph";
import { openDialog } from "../state/shell";
import "./arrangeCommands";
import { focusNode } from "./focus";
import { addNoteHere, pointed } from "./place";
import { selectedItems, selectedNodes } from "./selected";
import { useCanvas } from "./state";
import { view } from "./view";
import "./viewCommands";

const some = (): boolean => useGraph.getState().selection.size > 0;
const items = (): boolean => selectedItems().length > 0;
const nodes = (): boolean => selectedNodes().length > 0;
const one = (): boolean => selectedItems().length === 1;

function duplicateSelected(incoming: boolean): void {
  const { edit, select } = useGraph.getState();
  let made: string[] = [];
  edit("duplicate", (graph) => {
    const done = duplicate(graph, selectedItems(), [40, 40], incoming);
    made = done.ids;
    return done.graph;
  });
  select(made);
}

/** Collapse those that are open; where none is, open all. */
function toggleCollapsed(): void {
  const { edit, graph } = useGraph.getState();
  const ids = selectedNodes();
  edit("collapse", (now) => collapse(now, ids, ids.some((id) => !graph.nodes[id]!.collapsed)));
}

function toggleExpanded(): void {
  const { edit, graph } = useGraph.getState();
  const ids = selectedNodes();
  edit("show settings", (now) => expand(now, ids, ids.some((id) => !graph.nodes[id]!.expanded)));
}

function selectAll(): void {
  const { graph, select } = useGraph.getState();
  select([...Object.keys(graph.nodes), ...Object.keys(graph.groups), ...Object.keys(graph.notes)]);
}

/** The next (or previous) node in the order in which they are read: column by column. */
export function step(by: 1 | -1): void {
  const { graph, select } = useGraph.getState();
  const order = Object.values(graph.nodes).sort((one, other) => one.at[0] - other.at[0] || one.at[1] - other.at[1]).map((node) => node.id);
  if (!order.length) return;
  const now = order.indexOf(selectedNodes().at(-1) ?? "");
  const id = order.at(now < 0 ? (by === 1 ? 0 : -1) : (now + by) % order.length)!;
  select([id]);
  view()?.reveal([id]);
  focusNode(id);
}

const edit: Command[] = [
  { id: "edit.undo", title: "Undo", section: "Edit", keys: ["Mod+Z"], enabled: () => useGraph.getState().past.length > 0, run: () => useGraph.getState().undo() },
  { id: "edit.redo", title: "Redo", section: "Edit", keys: ["Mod+Shift+Z", "Mod+Y"], enabled: () => useGraph.getState().future.length > 0, run: () => useGraph.getState().redo() },
  { id: "edit.clip.cut", title: "Cut", section: "Edit", keys: ["Mod+X"], enabled: items, run: cutSelection },
  { id: "edit.clip.copy", title: "Copy", section: "Edit", keys: ["Mod+C"], enabled: items, run: copySelection },
  { id: "edit.clip.paste", title: "Paste", section: "Edit", keys: ["Mod+V"], run: () => paste() },
  { id: "edit.clip.duplicate", title: "Duplicate", section: "Edit", keys: ["Mod+D"], enabled: items, run: () => duplicateSelected(true) },
  { id: "edit.clip.duplicate-bare", title: "Duplicate without incoming wires", section: "Edit", keys: ["Mod+Shift+D"], enabled: items, run: () => duplicateSelected(false) },
  { id: "edit.remove.delete", title: "Delete", section: "Edit", keys: ["Delete", "Backspace"], enabled: some, run: () => removeSelected("delete") },
  {
    id: "edit.remove.bridge", title: "Delete and join the wires", section: "Edit", keys: ["Shift+Delete"], enabled: nodes,
    run: () => {
      const { catalog, selection, edit, select } = useGraph.getState();
      edit("delete", (graph) => removeBridging(graph, catalog, selection));
      select([]);
    },
  },
  { id: "edit.node.rename", title: "Rename", section: "Edit", keys: ["F2"], enabled: one, run: () => useCanvas.setState({ renaming: selectedItems()[0]! }) },
  { id: "edit.node.connect", title: "Connect…", section: "Edit", keys: ["W"], enabled: () => selectedNodes().length === 1, run: () => openDialog("connect", { node: selectedNodes()[0] }) },
  { id: "edit.node.mute", title: "Mute", section: "Edit", keys: ["M"], enabled: nodes, run: () => useGraph.getState().edit("mute", (graph) => toggleMode(graph, selectedNodes(), "mute")) },
  { id: "edit.node.bypass", title: "Bypass", section: "Edit", keys: ["Mod+B"], enabled: nodes, run: () => useGraph.getState().edit("bypass", (graph) => toggleMode(graph, selectedNodes(), "bypass")) },
  { id: "edit.node.collapse", title: "Collapse", section: "Edit", keys: ["C"], enabled: nodes, run: toggleCollapsed },
  { id: "edit.node.expand", title: "Show all settings", section: "Edit", keys: ["E"], enabled: nodes, run: toggleExpanded },
  { id: "edit.select.all", title: "Select all", section: "Edit", keys: ["Mod+A"], run: selectAll },
  { id: "edit.select.none", title: "Select nothing", section: "Edit", keys: ["Escape"], enabled: some, run: () => useGraph.getState().select([]) },
  { id: "edit.select.next", title: "Next node", section: "Edit", keys: ["."], run: () => step(1) },
  { id: "edit.select.previous", title: "Previous node", section: "Edit", keys: [","], run: () => step(-1) },
];

register(
  ...edit,
  { id: "add.node", title: "Add a node…", section: "Add", keys: ["Space"], run: () => openDialog("quick-add", { client: pointed() ?? middle() }) },
  { id: "add.note", title: "Add a note", section: "Add", keys: ["N"], run: () => addNoteHere(pointed()) },
);

function middle() {
  const canvas = view();
  return canvas ? canvas.toClient(canvas.centre()) : null;
}
