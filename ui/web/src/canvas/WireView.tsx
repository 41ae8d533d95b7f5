/** A wire with its reroute points. */
import type { EdgeProps } from "@xyflow/react";
import { type KeyboardEvent, type PointerEvent, memo, useMemo } from "react";
import { moveVia, removeVia } from "../graph/operations";
import { useGraph } from "../state/graph";
import type { Point } from "../types";
import { pathOf, pieces } from "./curves";
import type { WireEdge } from "./flow";
import { GRID } from "./place";
import { view } from "./view";

const STEPS: Record<string, Point> = { ArrowLeft: [-GRID, 0], ArrowRight: [GRID, 0], ArrowUp: [0, -GRID], ArrowDown: [0, GRID] };

export const WireView = memo(function WireView({ id, sourceX, sourceY, targetX, targetY, selected, data }: EdgeProps<WireEdge>) {
  const { via, colour, faint } = data!;
  const path = useMemo(() => pathOf(pieces([sourceX, sourceY], via, [targetX, targetY])), [sourceX, sourceY, via, targetX, targetY]);
  return (
    <g className={`lg-wire ${selected ? "selected" : ""} ${faint ? "faint" : ""}`} data-wire-id={id}>
      <path className="lg-wire-hit" d={path} />
      {selected && <path className="lg-wire-glow" d={path} />}
      <path className="lg-wire-line" d={path} stroke={colour} />
      {via.map((at, index) => <Via key={index} wire={id} index={index} at={at} colour={colour} />)}
    </g>
  );
});

function Via({ wire, index, at, colour }: { wire: string; index: number; at: Point; colour: string }) {
  const edit = useGraph((state) => state.edit);
  const settle = useGraph((state) => state.settle);
  const drop = () => edit("remove reroute point", (graph) => removeVia(graph, wire, index));
  const drag = (event: PointerEvent<SVGCircleElement>) => {
    if (event.buttons !== 1 || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const [x, y] = view()?.toGraph([event.clientX, event.clientY]) ?? at;
    const grid = event.altKey ? 1 : GRID;
    edit("move reroute point", (graph) => moveVia(graph, wire, index, [Math.round(x / grid) * grid, Math.round(y / grid) * grid]), `via ${wire} ${index}`);
  };
  const press = (event: KeyboardEvent) => {
    const by = STEPS[event.key];
    if (event.key === "Delete" || event.key === "Backspace") drop();
    else if (by) edit("move reroute point", (graph) => moveVia(graph, wire, index, [at[0] + by[0], at[1] + by[1]]), `via ${wire} ${index}`);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  // A button can't be part of a drawing.
  /* oxlint-disable jsx-a11y/prefer-tag-over-role */
  return (
    <circle
      className="lg-via nopan nodrag" cx={at[0]} cy={at[1]} r={6} fill={colour} tabIndex={0} role="button" aria-label={`Reroute point ${index + 1} of ${wire}`}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.stopPropagation();
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={drag} onPointerUp={settle} onKeyDown={press}
      onClick={(event) => event.stopPropagation()}
      onDoubleClick={(event) => { event.stopPropagation(); drop(); }}
    />
  );
}
