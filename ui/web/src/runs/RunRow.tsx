/** One run in the queue panel. */
import { fileUrl } from "../server";
import { Icon, type IconName } from "../shell/icons";
import { MenuButton, type MenuItem } from "../shell/Menu";
import { useRuns } from "../state/runs";
import type { RunRecord, RunStatus } from "../types";
import { openWorkflow, showRun } from "./choosing";
import { Spinner } from "./NodeRunView";
import { usePictures } from "./pictures";
import { ago, duration, isOver, standing } from "./progress";
import { again, cancel, move, remove } from "./submitting";

interface RunRowProps {
  run: RunRecord;
  /** Of a waiting run: its place, the last place, how to begin dragging it, and whether another would drop beside it. */
  place?: number;
  last?: number;
  begin?: (place: number, grip: HTMLElement, pointer: number) => void;
  mark?: string;
}

const ICONS: Record<RunStatus, IconName> = { waiting: "clock", running: "refresh", done: "good", failed: "error", cancelled: "cancelled" };

export function RunRow({ run, place = -1, last = 0, begin, mark = "" }: RunRowProps) {
  const shown = useRuns((state) => state.shown?.id === run.id);
  const cover = usePictures((state) => state.covers[run.id]);
  const title = run.title || run.name;
  return (
    <li className={`lg-run ${mark}`} data-testid="run-row" data-run={run.id} data-status={run.status}>
      {begin && place >= 0 && (
        <span
          className="lg-grip" aria-hidden="true" title="Drag to change the order"
          onPointerDown={(event) => { event.preventDefault(); begin(place, event.currentTarget, event.pointerId); }}
        ><Icon name="grip" size={14} /></span>
      )}
      <button type="button" className="lg-run-main" aria-pressed={shown} title="Show this run on the nodes" onClick={() => showRun(run)}>
        <span className={`lg-thumb ${run.status}`}>
          {cover && isOver(run) ? <img src={fileUrl(cover)} alt="" loading="lazy" draggable={false} /> : run.status === "running" ? <Spinner /> : <Icon name={ICONS[run.status]} />}
        </span>
        <span className="lg-run-words">
          <b className="lg-cut">{title}</b>
          <Line run={run} />
        </span>
      </button>
      {isOver(run) ? (
        <button type="button" className="lg-icon-button" aria-label={`Run ${title} again`} title="Run again" onClick={() => void again(run)}><Icon name="refresh" size={15} /></button>
      ) : (
        <button
          type="button" className="lg-icon-button" aria-label={`Cancel ${title}`} title="Cancel" disabled={run.stopping} onClick={() => void cancel(run)}
        ><Icon name="stop" size={13} /></button>
      )}
      <MenuButton label={`More about ${title}`} className="lg-icon-button" side="right" items={() => choices(run, place, last)}><Icon name="more" /></MenuButton>
    </li>
  );
}

function choices(run: RunRecord, place: number, last: number): MenuItem[] {
  const moves: MenuItem[] = place < 0 ? [] : [
    { id: "first", title: "Run next", icon: "up", disabled: place === 0, run: () => void move(run, 0) },
    { id: "up", title: "Move up", icon: "arrow-up", disabled: place === 0, run: () => void move(run, place - 1) },
    { id: "down", title: "Move down", icon: "arrow-down", disabled: place === last, run: () => void move(run, place + 1) },
    "line",
  ];
  return [
    ...moves,
    { id: "show", title: "Show on the nodes", icon: "eye", run: () => showRun(run) },
    { id: "open", title: "Open its workflow", icon: "external", run: () => void openWorkflow(run) },
    { id: "again", title: "Run again", icon: "refresh", run: () => void again(run) },
    "line",
    isOver(run)
      ? { id: "remove", title: "Remove from the history", icon: "trash", run: () => void remove([run.id]) }
      : { id: "cancel", title: "Cancel", icon: "stop", disabled: run.stopping, run: () => void cancel(run) },
  ];
}

/** "3/11 · train 40/300" or "done in 12 s · 5 min ago" or why it failed. */
function Line({ run }: { run: RunRecord }) {
  const live = useRuns((state) => (state.shown?.id === run.id && run.status === "running" ? standing(state.shown, state.nodes).text : ""));
  if (run.status === "waiting") return <span className="lg-quiet lg-cut">waiting · {run.nodes} nodes</span>;
  if (run.status === "running") return <span className="lg-quiet lg-cut">{live || (run.stopping ? "stopping…" : `${run.finished}/${run.nodes}`)}{run.attempt > 1 ? " · resumed" : ""}</span>;
  const took = run.started && run.ended ? duration(run.ended - run.started) : "";
  const when = ago(run.ended ?? run.created);
  return (
    <>
      <span className="lg-quiet lg-cut">
        <span className={`lg-ending ${run.status}`}>{run.status}</span>{took && (run.status === "done" ? ` in ${took}` : ` after ${took}`)} · {when}
      </span>
      {run.status === "failed" && run.error && <span className="lg-run-error" title={run.error}>{run.error}</span>}
    </>
  );
}
