/** What is selected, by kind; and sizes, for commands. */
import { useGraph } from "../state/graph";
import { type Sizes, sizes } from "./geometry";
import { useCanvas } from "./state";

export function selectedNodes(): string[] {
  const { graph, selection } = useGraph.getState();
  return [...selection].filter((id) => id in graph.nodes);
}

/** Nodes, notes and groups: what has a place. */
export function selectedItems(): string[] {
  const { graph, selection } = useGraph.getState();
  return [...selection].filter((id) => id in graph.nodes || id in graph.notes || id in graph.groups);
}

export function selectedGroups(): string[] {
  const { graph, selection } = useGraph.getState();
  return [...selection].filter((id) => id in graph.groups);
}

export function currentSizes(): Sizes {
  const { graph, catalog } = useGraph.getState();
  return sizes(graph, catalog, useCanvas.getState().media);
}
