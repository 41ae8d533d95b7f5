/** What React Flow tells of dragging and selecting, as edits of the graph. */
import type { EdgeChange, NodeChange, OnNodeDrag } from "@xyflow/react";
import { useEffect, useMemo, useState } from "react";
import { withContents } from "../graph/arrange";
import { place } from "../graph/operations";
import { useGraph } from "../state/graph";
import type { Point } from "../types";
import type { AnyNode, WireEdge } from "./flow";
import { placeOf } from "./geometry";
import { currentSizes } from "./selected";

export function useChanges() {
  const snap = useSnap();
  const handlers = useMemo(() => dragging(), []);
  return { snap, ...handlers };
}

function dragging() {
  /** What lies in a dragged group, where it was, and the group that it follows. */
  let followers = new Map<string, Point>();
  let leader: { id: string; at: Point } | null = null;

  const begin: OnNodeDrag<AnyNode> = (_event, _node, dragged) => {
    const { graph, settle } = useGraph.getState();
    settle();
    const ids = new Set(dragged.map((node) => node.id));
    const group = [...ids].find((id) => id in graph.groups);
    leader = group === undefined ? null : { id: group, at: graph.groups[group]!.at };
    followers = new Map();
    if (!leader) return;
    for (const id of withContents(graph, ids, currentSizes())) if (!ids.has(id)) followers.set(id, placeOf(graph, id)!);
  };
  const end = (): void => {
    leader = null;
    useGraph.getState().settle();
  };
  const onNodesChange = (changes: NodeChange<AnyNode>[]): void => {
    const places = new Map<string, Point>();
    for (const change of changes) if (change.type === "position" && change.position) places.set(change.id, [change.position.x, change.position.y]);
    const led = leader && places.get(leader.id);
    if (leader && led) for (const [id, at] of followers) places.set(id, [at[0] + led[0] - leader.at[0], at[1] + led[1] - leader.at[1]]);
    if (places.size) useGraph.getState().edit("move", (graph) => place(graph, places), "drag");
    choose(changes);
  };
  return {
    onNodesChange, onEdgesChange: (changes: EdgeChange<WireEdge>[]) => choose(changes),
    onNodeDragStart: begin, onNodeDragStop: end,
  };
}

function choose(changes: (NodeChange<AnyNode> | EdgeChange<WireEdge>)[]): void {
  const chosen = changes.filter((change) => change.type === "select");
  if (!chosen.length) return;
  const { selection, select } = useGraph.getState();
  const next = new Set(selection);
  for (const { id, selected } of chosen) {
    if (selected) next.add(id);
    else next.delete(id);
  }
  select(next);
}

/** Nodes go by the grid unless Alt is held. */
function useSnap(): boolean {
  const [snap, setSnap] = useState(true);
  useEffect(() => {
    const changed = (event: KeyboardEvent) => setSnap(!event.altKey);
    const lost = () => setSnap(true);
    window.addEventListener("keydown", changed);
    window.addEventListener("keyup", changed);
    window.addEventListener("blur", lost);
    return () => {
      window.removeEventListener("keydown", changed);
      window.removeEventListener("keyup", changed);
      window.removeEventListener("blur", lost);
    };
  }, []);
  return snap;
}
