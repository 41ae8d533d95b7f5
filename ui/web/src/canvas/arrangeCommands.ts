/** Commands that put things in order: groups, moving by keys, aligning, distributing, automatic layout. */
import { type Command, register } from "../commands";
import { type Way, align, distribute, group, ungroup, withContents } from "../graph/arrange";
import { laidOut } from "../graph/layout";
import { move } from "../graph/operations";
import { useGraph } from "../state/graph";
import { notify } from "../state/shell";
import type { Point } from "../types";
import { sizes } from "./geometry";
import { GRID } from "./place";
import { currentSizes, selectedGroups, selectedItems, selectedNodes } from "./selected";
import { pointer, useCanvas } from "./state";
import { view } from "./view";

const atLeast = (count: number) => (): boolean => selectedItems().length >= count;

function groupSelected(): void {
  const { edit, select } = useGraph.getState();
  const size = currentSizes();
  const ids = selectedItems();
  edit("group", (graph) => group(graph, ids, size, view()?.centre()));
  const id = Object.keys(useGraph.getState().graph.groups).at(-1)!;
  select([id]);
  useCanvas.setState({ renaming: id });
}

async function autoLayout(): Promise<void> {
  const before = useGraph.getState().graph;
  const nodes = selectedNodes();
  const some = nodes.length > 1;
  // With room for results, which nodes grow by once they have run.
  const { catalog } = useGraph.getState();
  const after = await laidOut(before, some ? nodes : null, sizes(before, catalog, new Set(Object.keys(before.nodes))));
  // Edited while the library was being loaded: lay out what is there now.
  if (useGraph.getState().graph !== before) {
    notify("info", "The workflow changed meanwhile. Lay it out again.");
    return;
  }
  useGraph.getState().edit("lay out", () => after);
  if (!some) view()?.reveal();
}

function nudge([dx, dy]: Point): void {
  const by = pointer.shift ? 5 * GRID : GRID;
  const ids = withContents(useGraph.getState().graph, selectedItems(), currentSizes());
  useGraph.getState().edit("move", (graph) => move(graph, ids, [dx * by, dy * by]), "nudge");
}

const ways: [Way, string][] = [
  ["left", "left edges"], ["centre", "centres"], ["right", "right edges"], ["top", "top edges"], ["middle", "middles"], ["bottom", "bottom edges"],
];
const aligning = ways.map(([way, words]): Command => ({
  id: `arrange.align.${way}`, title: `Align ${words}`, section: "Arrange", enabled: atLeast(2),
  run: () => {
    const size = currentSizes();
    useGraph.getState().edit("align", (graph) => align(graph, selectedItems(), way, size));
  },
}));
const spreading = (["across", "down"] as const).map((way, axis): Command => ({
  id: `arrange.distribute.${way}`, title: `Distribute ${way}`, section: "Arrange", enabled: atLeast(3),
  run: () => {
    const size = currentSizes();
    useGraph.getState().edit("distribute", (graph) => distribute(graph, selectedItems(), axis as 0 | 1, size));
  },
}));
const moves: [string, Point][] = [["Left", [-1, 0]], ["Right", [1, 0]], ["Up", [0, -1]], ["Down", [0, 1]]];
const nudging = moves.map(([way, by]): Command => ({
  id: `arrange.nudge.${way.toLowerCase()}`, title: `Move ${way.toLowerCase()} (Shift: further)`, section: "Arrange", keys: [`Arrow${way}`, `Shift+Arrow${way}`],
  enabled: atLeast(1), run: () => nudge(by),
}));

register(
  { id: "arrange.layout.auto", title: "Lay out", section: "Arrange", keys: ["L"], enabled: () => Object.keys(useGraph.getState().graph.nodes).length > 0, run: autoLayout },
  { id: "arrange.group.group", title: "Group", section: "Arrange", keys: ["Mod+G"], run: groupSelected },
  {
    id: "arrange.group.ungroup", title: "Ungroup", section: "Arrange", keys: ["Mod+Shift+G"], enabled: () => selectedGroups().length > 0,
    run: () => useGraph.getState().edit("ungroup", (graph) => ungroup(graph, selectedGroups())),
  },
  ...aligning, ...spreading, ...nudging,
);
