/** What runs, what waits (in its order, which can be changed), and what has been. */
import { useEffect, useState } from "react";
import { useRuns } from "../state/runs";
import type { RunRecord } from "../types";
import { loadPicturesUpTo } from "./pictures";
import { isOver } from "./progress";
import { RunRow } from "./RunRow";
import { clean, move } from "./submitting";

export default function QueuePanel() {
  const queue = useRuns((state) => state.queue);
  const running = queue.filter((run) => run.status === "running");
  const waiting = queue.filter((run) => run.status === "waiting").sort((a, b) => a.position - b.position);
  const ended = queue.filter(isOver).sort((a, b) => (b.ended ?? b.created) - (a.ended ?? a.created));
  const latest = ended[0]?.ended ?? 0;
  useEffect(() => { void loadPicturesUpTo(latest); }, [latest]);
  if (!queue.length) return <p className="lg-side-empty">No runs yet. Press Run: it goes on even when this page is closed.</p>;
  return (
    <div className="lg-queue" data-testid="queue">
      {running.length > 0 && <Part title="Running" runs={running} />}
      {waiting.length > 0 && <Waiting runs={waiting} />}
      {ended.length > 0 && (
        <section aria-label="Earlier">
          <h2>Earlier <button type="button" className="lg-tiny" title="Forget all but the newest runs that have ended; saved files stay" onClick={() => void clean()}>Clean up</button></h2>
          <ul>{ended.map((run) => <RunRow key={run.id} run={run} />)}</ul>
        </section>
      )}
    </div>
  );
}

function Part({ title, runs }: { title: string; runs: RunRecord[] }) {
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <ul>{runs.map((run) => <RunRow key={run.id} run={run} />)}</ul>
    </section>
  );
}

/** The waiting ones: each has a grip to drag it by, and up and down for the keyboard. */
function Waiting({ runs }: { runs: RunRecord[] }) {
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const begin = (from: number, grip: HTMLElement, pointer: number): void => {
    const rows = [...grip.closest("ul")!.children].map((row) => row.getBoundingClientRect());
    let to = from;
    grip.setPointerCapture(pointer);
    setDrag({ from, to });
    const moved = (event: PointerEvent): void => {
      const under = rows.findIndex(({ top, bottom }) => event.clientY >= top && event.clientY < bottom);
      to = under >= 0 ? under : event.clientY < rows[0]!.top ? 0 : rows.length - 1;
      setDrag({ from, to });
    };
    const end = (event: PointerEvent): void => {
      grip.removeEventListener("pointermove", moved);
      grip.removeEventListener("pointerup", end);
      grip.removeEventListener("pointercancel", end);
      setDrag(null);
      if (event.type === "pointerup" && to !== from) void move(runs[from]!, to);
    };
    grip.addEventListener("pointermove", moved);
    grip.addEventListener("pointerup", end);
    grip.addEventListener("pointercancel", end);
  };
  return (
    <section aria-label="Waiting">
      <h2>Waiting</h2>
      <ul>
        {runs.map((run, place) => (
          <RunRow
            key={run.id} run={run} place={place} last={runs.length - 1} begin={begin}
            mark={!drag ? "" : place === drag.from ? "dragged" : place === drag.to ? (drag.to < drag.from ? "above" : "below") : ""}
          />
        ))}
      </ul>
    </section>
  );
}
