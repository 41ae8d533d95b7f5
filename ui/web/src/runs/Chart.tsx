/** A curve of a node: loss over steps, with the numbers at its ends and its newest value. */
import { useState } from "react";
import type { Point } from "../types";
import { canBeLog, draw } from "./curve";
import { measure } from "./progress";

interface ChartProps { curves: Record<string, Point[]>; width: number; height: number }

const [TOP, BOTTOM, SIDE] = [22, 15, 2];

export function Chart({ curves, width, height }: ChartProps) {
  const names = Object.keys(curves).filter((name) => curves[name]!.length > 1);
  const [chosen, choose] = useState("");
  const [log, setLog] = useState(false);
  const name = names.includes(chosen) ? chosen : names.includes("loss") ? "loss" : names[0];
  if (!name) return <p className="lg-quiet lg-chart-none">The curve begins with the second step.</p>;
  const points = curves[name]!;
  const inner: Point = [width - 2 * SIDE, height - TOP - BOTTOM];
  const drawn = draw(points, inner[0], inner[1], log)!;
  const next = names[(names.indexOf(name) + 1) % names.length]!;
  return (
    <figure className="lg-chart" style={{ width, height }} data-testid="chart">
      <figcaption>
        {names.length > 1 ? (
          <button type="button" className="lg-tiny nodrag nopan" onClick={() => choose(next)} title={`Show ${next}`}>{name}</button>
        ) : <span>{name}</span>}
        <b>{measure(drawn.value)}</b>
        {canBeLog(points) && (
          <button type="button" className="lg-tiny nodrag nopan" aria-pressed={log} onClick={() => setLog(!log)} title="Logarithmic scale">log</button>
        )}
      </figcaption>
      <svg width={width} height={height} role="img" aria-label={`${name} over steps ${drawn.first} to ${drawn.last}: now ${measure(drawn.value)}, between ${measure(drawn.low)} and ${measure(drawn.high)}`}>
        <g transform={`translate(${SIDE} ${TOP})`}>
          <path className="lg-chart-axis" d={`M0 0H${inner[0]}M0 ${inner[1]}H${inner[0]}`} />
          <path className="lg-chart-raw" d={drawn.raw} />
          <path className="lg-chart-line" d={drawn.smooth} />
          <circle className="lg-chart-end" cx={drawn.end[0]} cy={drawn.end[1]} r="2.5" />
          {/* A loss falls: its corners at the top right and at the bottom left are free. */}
          <text x={inner[0]} y="11" textAnchor="end">{measure(drawn.high)}</text>
          <text x="0" y={inner[1] - 4}>{measure(drawn.low)}</text>
          <text x="0" y={inner[1] + 12}>step {drawn.first}</text>
          <text x={inner[0]} y={inner[1] + 12} textAnchor="end">{drawn.last}</text>
        </g>
      </svg>
    </figure>
  );
}
