/** Groups and notes: what lies on the canvas beside nodes. */
import type { NodeProps } from "@xyflow/react";
import { type CSSProperties, type PointerEvent, memo, useEffect, useRef } from "react";
import { editGroup, editNote } from "../graph/arrange";
import { useGraph } from "../state/graph";
import type { Graph, Point } from "../types";
import type { GroupNode, NoteNode } from "./flow";
import { GRID } from "./place";
import { useCanvas } from "./state";
import { Title } from "./Title";
import { view } from "./view";

export const GroupBox = memo(function GroupBox({ data: { group }, selected }: NodeProps<GroupNode>) {
  const { id, title, colour, at } = group;
  return (
    <section className={`lg-group ${selected ? "selected" : ""}`} data-node-group={id} style={tint(colour)} aria-label={`Group ${title}`}>
      <div className="lg-group-title">
        <Title id={id} text={title} label="Title of the group" className="lg-group-name" rename={(next) => useGraph.getState().edit("rename group", (graph) => editGroup(graph, id, { title: next }))} />
      </div>
      <Corner id={id} at={at} least={[160, 100]} resize={(graph, size) => editGroup(graph, id, { size })} />
    </section>
  );
});

export const NoteBox = memo(function NoteBox({ data: { note }, selected }: NodeProps<NoteNode>) {
  const { id, text, colour, at } = note;
  const writing = useCanvas((state) => state.renaming === id);
  const own = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (writing) own.current?.focus({ preventScroll: true });
  }, [writing]);
  const edit = useGraph((state) => state.edit);
  const settle = useGraph((state) => state.settle);
  // The keyboard's way is the command "Rename", or F2.
  /* oxlint-disable jsx-a11y/no-noninteractive-element-interactions */
  return (
    <section className={`lg-note ${selected ? "selected" : ""}`} data-note={id} style={tint(colour)} aria-label="Note" onDoubleClick={() => useCanvas.setState({ renaming: id })}>
      {writing ? (
        <textarea
          ref={own} className="nodrag nopan nowheel" aria-label="Text of the note" value={text}
          onChange={(event) => edit("write note", (graph) => editNote(graph, id, { text: event.target.value }), `note ${id}`)}
          onBlur={() => { settle(); useCanvas.setState({ renaming: null }); }}
          onKeyDown={(event) => {
            if (event.key === "Escape") own.current?.blur();
            else if (event.ctrlKey || event.metaKey) return;
            event.stopPropagation();
          }}
        />
      ) : <p>{text || <span className="lg-quiet">Double-click to write</span>}</p>}
      <Corner id={id} at={at} least={[120, 60]} resize={(graph, size) => editNote(graph, id, { size })} />
    </section>
  );
});

function tint(colour: string): CSSProperties {
  return { "--tint": colour } as CSSProperties;
}

interface CornerProps { id: string; at: Point; least: Point; resize: (graph: Graph, size: Point) => Graph }

/** The lower right corner, by which a frame is made larger or smaller. */
function Corner({ id, at, least, resize }: CornerProps) {
  const drag = (event: PointerEvent<HTMLSpanElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const [x, y] = view()?.toGraph([event.clientX, event.clientY]) ?? at;
    const grid = event.altKey ? 1 : GRID;
    const size: Point = [Math.max(least[0], Math.round((x - at[0]) / grid) * grid), Math.max(least[1], Math.round((y - at[1]) / grid) * grid)];
    useGraph.getState().edit("resize", (graph) => resize(graph, size), `size ${id}`);
  };
  return (
    <span
      className="lg-corner nodrag nopan" data-testid="corner"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={drag} onPointerUp={() => useGraph.getState().settle()}
    />
  );
}
