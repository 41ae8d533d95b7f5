/**
 * The run's part of a node: its state in the header, and below the settings what it draws, trains, or has made.
 *
 * `NodeMedia` fills a field of the card's inner width and MEDIA_HEIGHT; the canvas makes room for it where `useHasMedia`
 * names the node. Each part follows its own node in the store, so an event redraws one node.
 */
import { Icon, type IconName } from "../shell/icons";
import { late } from "../shell/late";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import { openDialog } from "../state/shell";
import type { NodeRun, NodeState } from "../types";
import "./dialogs";
import { withMedia } from "./media";
import { duration, fraction } from "./progress";

const LOOKS: Record<NodeState, [icon: IconName, text: string]> = {
  waiting: ["clock", "waiting"], running: ["refresh", "running"], cached: ["cached", "cached"], done: ["check", "done"],
  failed: ["error", "failed"], skipped: ["skip", "skipped"], cancelled: ["cancelled", "cancelled"],
};

/** Whether the node has something to show below its settings: the canvas makes room for it. Changes rarely. */
export function useHasMedia(): ReadonlySet<string> {
  return useRuns(withMedia);
}

/** Whether a run now would give another result than the one that is shown. */
export function useStale(id: string): boolean {
  const shown = useRuns((state) => state.nodes[id]?.key);
  const now = useGraph((state) => state.keys[id]);
  return Boolean(shown && now && shown !== now);
}

export function NodeBadge({ id }: { id: string }) {
  const run = useRuns((state) => state.nodes[id]);
  if (!run) return null;
  const [icon, name] = LOOKS[run.state];
  const part = fraction(run);
  const text = run.state === "running" && part !== null ? `${Math.floor(part * 100)}%`
    : run.state === "done" ? duration(run.seconds) : name;
  return (
    <span className={`lg-badge ${run.state}`} data-testid="badge" data-state={run.state} title={badgeTitle(run)}>
      {run.state === "running" ? <Spinner /> : <Icon name={icon} size={13} />}
      <span className="lg-hidden">{run.state === "done" ? "done in " : run.state === "running" && part !== null ? "running, " : ""}</span>
      {text}
    </span>
  );
}

export function Spinner() {
  return (
    <svg className="lg-spinner" width="13" height="13" viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="6" /><path d="M8 2a6 6 0 0 1 6 6" />
    </svg>
  );
}

function badgeTitle(run: NodeRun): string {
  if (run.state === "skipped") return `Skipped ${run.message}`.trim();
  if (run.state === "cached") return "The result was there already: nothing had to be run";
  return [run.message, run.device && `on ${run.device}`].filter(Boolean).join(" · ");
}

/** Loaded when the first node has something to show. */
export const NodeMedia = late<{ id: string }>(() => import("./NodeMedia"), null);

export function NodeFailure({ id }: { id: string }) {
  const run = useRuns((state) => state.nodes[id]);
  if (run?.state !== "failed") return null;
  return (
    <div className="lg-failure nodrag nopan nowheel" role="alert" data-testid="failure">
      <Icon name="error" size={15} />
      <p>{run.error}</p>
      <button type="button" className="lg-button small" onClick={() => openDialog("trace", { node: id, message: run.error, trace: run.trace })}>
        {run.trace ? "Show trace" : "Show all"}
      </button>
    </div>
  );
}
