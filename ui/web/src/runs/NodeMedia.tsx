/** Below a node's settings: what it draws or trains while it is at work, and what it has made. */
import { useState } from "react";
import { useRuns } from "../state/runs";
import type { NodeRun, ResultView } from "../types";
import { Chart } from "./Chart";
import { MEDIA_HEIGHT } from "./media";
import { duration, fraction, secondsLeft } from "./progress";
import { Preview } from "./Preview";
import { Result } from "./Results";

/** What fits into the field, in pixels. */
const [WIDTH, PAD, HEAD] = [260, 6, 26];
const INNER = MEDIA_HEIGHT - PAD;

export default function NodeMedia({ id }: { id: string }) {
  const run = useRuns((state) => state.nodes[id]);
  const results = useRuns((state) => state.results[id]);
  const [chosen, choose] = useState(0);
  if (run?.state === "running" && (run.total > 0 || run.preview || hasCurve(run))) return <Live run={run} />;
  const views = viewsOf(run, results);
  if (!views.length) return run?.preview ? <div className="lg-media"><Preview path={run.preview} width={WIDTH} height={INNER} /></div> : null;
  const index = Math.min(chosen, views.length - 1);
  const head = views.length > 1 ? HEAD : 0;
  // What a node shows that waits, or was not finished, is from the run before.
  const old = run !== undefined && run.state !== "done" && run.state !== "cached";
  return (
    <div className={`lg-media ${old ? "old" : ""}`} data-testid="media">
      {head > 0 && (
        <div className="lg-segments">
          {views.map((view, at) => (
            <button
              key={`${view.kind} ${view.name}`} type="button" className="nodrag nopan" aria-pressed={at === index} onClick={() => choose(at)}
            >{titleOf(view)}</button>
          ))}
        </div>
      )}
      <Result node={id} result={views[index]!} width={WIDTH} height={INNER - head} />
    </div>
  );
}

function hasCurve(run: NodeRun): boolean {
  return Object.values(run.curves).some((points) => points.length > 1);
}

function viewsOf(run: NodeRun | undefined, results: ResultView[] | undefined): ResultView[] {
  const views = results ?? [];
  if (!run || !hasCurve(run) || views.some((view) => view.kind === "chart")) return views;
  return [...views, { kind: "chart", name: "curve", curves: run.curves }];
}

function titleOf(view: ResultView): string {
  const kinds: Record<ResultView["kind"], string> = { pictures: "Pictures", video: "Video", lora: "LoRA", table: "Table", chart: "Curve", facts: "About", file: "File" };
  return view.kind === "facts" || view.kind === "file" || view.kind === "pictures" ? view.name || kinds[view.kind] : kinds[view.kind];
}

/** A node at work: how far, how long yet, and the newest preview beside the curve so far. */
function Live({ run }: { run: NodeRun }) {
  const part = fraction(run);
  const left = secondsLeft(run);
  const curve = hasCurve(run);
  const [ratio, setRatio] = useState(1);
  // A strip of pictures lies above the curve, others beside it.
  const strip = curve && ratio > 1.8;
  const high = strip ? Math.min(Math.round(WIDTH / ratio), 64) : INNER - HEAD;
  const wide = curve && !strip ? Math.floor((WIDTH - 8) / 2) : WIDTH;
  return (
    <div className="lg-media lg-live" data-testid="live">
      <progress className="lg-progress" aria-label="Progress" max={1} value={part ?? undefined} />
      <div className="lg-progress-text">
        <span data-testid="steps">{run.total ? `${run.step}/${run.total}` : ""}</span>
        <span className="lg-cut">{run.message}</span>
        <span>{left === null ? "" : `${duration(left)} left`}</span>
      </div>
      <div className={`lg-live-body ${strip ? "strip" : ""}`}>
        {run.preview && <Preview path={run.preview} width={wide} height={high} onRatio={setRatio} />}
        {curve && <Chart curves={run.curves} width={run.preview ? wide : WIDTH} height={strip ? INNER - HEAD - high - 6 : INNER - HEAD} />}
        {!run.preview && !curve && <p className="lg-quiet">{run.message ? "" : "At work…"}</p>}
      </div>
    </div>
  );
}
