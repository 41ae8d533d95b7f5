/** A node: header, sockets, the foremost settings, and what the run shows of it. Its measures are in geometry.ts. */
import type { NodeProps } from "@xyflow/react";
import { memo, startTransition, useEffect, useState } from "react";
import { nameTrouble, rename, collapse, expand } from "../graph/operations";
import { NodeBadge, NodeFailure, NodeMedia, useStale } from "../runs/NodeRunView";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import type { GraphNode, Problem } from "../types";
import { categoryColour } from "./colours";
import type { CardNode } from "./flow";
import { focusNode } from "./focus";
import { HEADER, type Layout, PAD, RAW_HEIGHT, ROW, TOGGLE } from "./geometry";
import { lacksWire, problemsOf } from "./problems";
import { Setting, Sketch } from "./Setting";
import { SocketRow } from "./SocketRow";
import { useCanvas } from "./state";
import { Title } from "./Title";

export const NodeCard = memo(function NodeCard({ data: { node, layout }, selected }: NodeProps<CardNode>) {
  const values = useGraph((state) => state.catalog.values);
  const problems = useGraph((state) => problemsOf(state.problems, node.id));
  const state = useRuns((runs) => runs.nodes[node.id]?.state);
  const full = useFull();
  const rows = Math.max(layout.inputs.length, layout.outputs.length) * ROW;
  const { collapsed } = node;
  const lacking = problems.filter((problem) => lacksWire(problem, layout));
  const trouble = problems.length > lacking.length ? "wrong" : lacking.length ? "unfinished" : "";
  return (
    <article
      className={`lg-node ${selected ? "selected" : ""} ${collapsed ? "collapsed" : ""} ${trouble} ${layout.type ? "" : "unknown"}`}
      data-node={node.id} data-mode={node.mode} data-state={state} style={{ height: layout.size[1] }}
    >
      <Header node={node} layout={layout} problems={problems} />
      {!collapsed && <div style={{ height: rows }} />}
      {layout.inputs.map((socket) => <SocketRow key={socket.name} node={node.id} socket={socket} side="in" values={values} collapsed={collapsed} lacking={lacking.some(({ field }) => field === socket.name)} />)}
      {layout.outputs.map((socket) => <SocketRow key={socket.name} node={node.id} socket={socket} side="out" values={values} collapsed={collapsed} />)}
      {!collapsed && (
        <div className="lg-node-body" style={{ paddingTop: PAD }}>
          {layout.fields.map((field) => (full
            ? <Setting key={field.name} field={field} node={node} problem={problems.find((problem) => problem.field === field.name)?.message} />
            : <Sketch key={field.name} field={field} node={node} />))}
          {!layout.type && <Raw node={node} problems={problems} />}
          {layout.toggle && <Toggle node={node} layout={layout} />}
          {layout.media && <NodeMedia id={node.id} />}
        </div>
      )}
      <NodeFailure id={node.id} />
    </article>
  );
});

/** Whether to draw the controls. Cards that come into a moving view wait until it rests, and then yield to input. */
function useFull(): boolean {
  const plain = useCanvas((state) => state.plain);
  const moving = useCanvas((state) => state.moving);
  const [full, setFull] = useState(!plain && !moving);
  if (plain && full) setFull(false);
  useEffect(() => {
    if (!plain && !moving) startTransition(() => setFull(true));
  }, [plain, moving]);
  return full;
}

function Header({ node, layout, problems }: { node: GraphNode; layout: Layout; problems: Problem[] }) {
  const { id, collapsed, mode } = node;
  const edit = useGraph((graph) => graph.edit);
  const trouble = (name: string) => nameTrouble(useGraph.getState().graph, id, name);
  return (
    <header className="lg-node-header" style={{ height: HEADER }}>
      <span className="lg-node-dot" style={{ background: layout.type ? categoryColour(layout.type.category) : "var(--bad)" }} />
      <span className="lg-node-names">
        <Title
          id={id} text={id} label={`Name of ${id}`} className="lg-node-title" trouble={trouble}
          rename={(name) => {
            edit("rename", (graph) => rename(graph, id, name));
            useGraph.getState().select([name]);
            // It is another element by that name, and the keyboard stays on what was renamed.
            focusNode(name);
          }}
        />
        <span className="lg-node-type" title={layout.type?.doc}>{node.type}</span>
      </span>
      {mode !== "" && <span className="lg-node-mode" title={mode === "mute" ? "Muted: left out of the run, and what needs it too" : "Bypassed: what comes in goes out unchanged"}><Icon name={mode === "mute" ? "mute" : "bypass"} size={13} />{mode === "mute" ? "muted" : "bypassed"}</span>}
      <Stale id={id} />
      {problems.length > 0 && <Problems problems={problems} />}
      <NodeBadge id={id} />
      <button
        type="button" className="lg-node-chevron nodrag" aria-label={collapsed ? `Open ${id}` : `Collapse ${id}`} aria-expanded={!collapsed}
        onClick={() => edit("collapse", (graph) => collapse(graph, [id], !collapsed))}
        onDoubleClick={(event) => event.stopPropagation()}
      ><Icon name={collapsed ? "right" : "down"} size={13} /></button>
    </header>
  );
}

function Stale({ id }: { id: string }) {
  return useStale(id)
    ? <span className="lg-node-stale" title="Stale: the result shown was made with other settings or inputs"><Icon name="stale" size={14} /><span className="lg-hidden">Stale</span></span> : null;
}

function Problems({ problems }: { problems: Problem[] }) {
  const said = problems.map(({ field, message, hint }) => `${field ? `${field}: ` : ""}${message}${hint ? ` ${hint}` : ""}`).join("\n");
  return <span className="lg-node-problem" title={said}><Icon name="warning" size={15} /><span className="lg-hidden">{said}</span></span>;
}

function Toggle({ node, layout }: { node: GraphNode; layout: Layout }) {
  const text = node.expanded ? "Show less" : `${layout.hidden} more settings`;
  return (
    <button
      type="button" className="lg-node-toggle nodrag" style={{ height: TOGGLE }} aria-expanded={node.expanded}
      onClick={() => useGraph.getState().edit("show settings", (graph) => expand(graph, [node.id], !node.expanded))}
    ><Icon name={node.expanded ? "up" : "down"} size={12} />{text}</button>
  );
}

/** The settings of a node whose type is not installed: they are kept, and shown as they stand in the file. */
function Raw({ node, problems }: { node: GraphNode; problems: Problem[] }) {
  const { hint = "", message = "This node type is not installed." } = problems.find(({ field }) => field === null || field === "type") ?? {};
  return (
    <div className="lg-node-raw" style={{ height: RAW_HEIGHT }}>
      <p title={`${message} ${hint}`}>{hint || message}</p>
      {/* It scrolls, so the keyboard must be able to reach it. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre className="nodrag nowheel" tabIndex={0} aria-label={`Settings of ${node.id}`}>{JSON.stringify(node.settings, null, 1)}</pre>
    </div>
  );
}
