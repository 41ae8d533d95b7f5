/** Find a node by its name, its type or what its settings hold, and go there. */
import { useCallback } from "react";
import { view } from "../canvas/view";
import { categoryColour } from "../canvas/colours";
import { score } from "../palette/search";
import { useGraph } from "../state/graph";
import { closeDialog } from "../state/shell";
import type { GraphNode, Json } from "../types";
import { Chooser } from "./Chooser";
import { Dialog } from "./Dialog";

export default function Find() {
  const graph = useGraph((state) => state.graph);
  const catalog = useGraph((state) => state.catalog);
  const find = useCallback((query: string) => findNodes(Object.values(graph.nodes), query), [graph]);
  return (
    <Dialog title="Find a node" at={[innerWidth / 2 - 170, 90]} onClose={closeDialog} testId="dialog-find">
      <Chooser
        label="Find a node" placeholder="Name, type or what a setting holds" find={find} keyOf={(node) => node.id} choose={jump} nothing="No node holds that."
        render={(node) => <>
          <span className="lg-dot" style={{ background: categoryColour(catalog.nodes[node.type]?.category ?? "") }} />
          <span className="lg-grow">{node.id}</span><span className="lg-quiet">{node.type}</span>
        </>}
      />
    </Dialog>
  );
}

function jump({ id }: GraphNode): void {
  closeDialog();
  useGraph.getState().select([id]);
  view()?.reveal([id]);
}

/** The nodes that hold every word of `query`, by how well they do. */
export function findNodes(nodes: GraphNode[], query: string): GraphNode[] {
  const ranked = nodes.map((node) => ({ node, rank: score(query, { name: node.id, others: [node.type], text: words(node.settings) }) }));
  return ranked.filter(({ rank }) => rank > 0).sort((a, b) => b.rank - a.rank).map(({ node }) => node);
}

function words(value: Json | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "object") return String(value);
  return (Array.isArray(value) ? value : Object.values(value)).map(words).join(" ");
}
