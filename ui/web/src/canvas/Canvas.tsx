/** The canvas: React Flow over the graph in the store, and what lies over it. */
import { Background, ReactFlow, ReactFlowProvider, SelectionMode, useStore } from "@xyflow/react";
import { useEffect, useMemo, useRef } from "react";
import { useHasMedia } from "../runs/NodeRunView";
import { late } from "../shell/late";
import { registerDialog } from "../shell/registry";
import { useGraph } from "../state/graph";
import { useShell } from "../state/shell";
import "./commands";
import { Controls } from "./Controls";
import { type AnyNode, type WireEdge, flowEdges, flowNodes } from "./flow";
import { GroupBox, NoteBox } from "./Frames";
import { Minimap } from "./Minimap";
import { NodeCard } from "./NodeCard";
import { Overview } from "./Overview";
import { GRID } from "./place";
import { useCanvas } from "./state";
import { useChanges } from "./useChanges";
import { useClipboard } from "./useClipboard";
import { useLooking } from "./useLooking";
import { usePointing } from "./usePointing";
import { WireView } from "./WireView";
import { useWiring, wireStyles } from "./wiring";

registerDialog("connect", () => import("./ConnectDialog"));

// Drawn from the start, so that it is there, soon after, when it is asked for.
const ContextMenu = late(() => import("./ContextMenu"), null);

/** Below this zoom there is one drawing instead of nodes; below the second, settings are text. */
export const OVERVIEW = 0.35;
const PLAIN = 0.5;
const ZOOMS = [0.04, 2.5] as const;

const nodeTypes = { card: NodeCard, area: GroupBox, note: NoteBox };
const edgeTypes = { wire: WireView };
const NO_NODES: AnyNode[] = [];
const NO_EDGES: WireEdge[] = [];
const SEVERAL = ["Control", "Meta", "Shift"];
const LABELS = { "controls.ariaLabel": "View" };

export function Canvas() {
  return <ReactFlowProvider><Flow /></ReactFlowProvider>;
}

function Flow() {
  const own = useRef<HTMLElement>(null);
  const graph = useGraph((state) => state.graph);
  const catalog = useGraph((state) => state.catalog);
  const selection = useGraph((state) => state.selection);
  const tool = useCanvas((state) => state.tool);
  const minimap = useShell((state) => state.minimap);
  const media = useHasMedia();
  const far = useStore((state) => state.transform[2] < OVERVIEW);
  const plain = useStore((state) => state.transform[2] < PLAIN);
  useEffect(() => useCanvas.setState({ media }), [media]);
  useEffect(() => useCanvas.setState({ plain }), [plain]);

  const nodes = useMemo(() => (far ? NO_NODES : flowNodes(graph, catalog, media, selection)), [far, graph, catalog, media, selection]);
  const edges = useMemo(() => (far ? NO_EDGES : flowEdges(graph, catalog, selection)), [far, graph, catalog, selection]);
  const styles = useMemo(() => wireStyles(catalog), [catalog]);
  const { cancelClick, ...wiring } = useWiring(own);
  const { snap, ...changes } = useChanges();
  const pointing = usePointing(far, cancelClick);
  const { moveStart, moveEnd } = useLooking(own);
  useClipboard(own);
  return (
    <section ref={own} className="lg-canvas" data-tool={tool} data-far={far || undefined} aria-label="Canvas" {...pointing.canvas}>
      <style>{styles}</style>
      <ReactFlow<AnyNode, WireEdge>
        nodes={nodes} edges={edges} nodeTypes={nodeTypes} edgeTypes={edgeTypes} {...wiring} {...changes}
        onlyRenderVisibleElements minZoom={ZOOMS[0]} maxZoom={ZOOMS[1]} elevateNodesOnSelect={false}
        panOnDrag={tool === "pan" ? [0, 1] : [1]} selectionOnDrag={tool === "select"} selectionKeyCode="Shift" selectionMode={SelectionMode.Partial}
        multiSelectionKeyCode={SEVERAL} panActivationKeyCode={null} deleteKeyCode={null} zoomActivationKeyCode={null} zoomOnDoubleClick={false}
        snapToGrid={snap} snapGrid={SNAP} disableKeyboardA11y edgesFocusable={false} nodeDragThreshold={3} nodeClickDistance={4} paneClickDistance={4}
        connectionDragThreshold={4} connectionRadius={26} reconnectRadius={14} ariaLabelConfig={LABELS}
        onMoveStart={moveStart} onMoveEnd={moveEnd} {...pointing.flow}
      >
        <Background gap={24} size={1.4} color="var(--dot)" />
      </ReactFlow>
      {far && <Overview canvas={own} />}
      <Controls />
      {minimap && <Minimap />}
      <ContextMenu />
    </section>
  );
}

const SNAP: [number, number] = [GRID, GRID];
