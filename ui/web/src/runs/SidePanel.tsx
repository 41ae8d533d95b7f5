/** The panel on the right: queue and history, gallery, problems. */
import type { KeyboardEvent } from "react";
import { Icon, type IconName } from "../shell/icons";
import { late } from "../shell/late";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import { type Panel, useShell } from "../state/shell";
import { failures } from "./ending";
import { isOver } from "./progress";
import { ProblemsPanel } from "./ProblemsPanel";

const QueuePanel = late(() => import("./QueuePanel"));
const Gallery = late(() => import("./Gallery"));

type Open = Exclude<Panel, "none">;
const TABS: [panel: Open, title: string, icon: IconName][] = [["queue", "Queue", "queue"], ["gallery", "Gallery", "gallery"], ["problems", "Problems", "problems"]];

export function SidePanel() {
  const panel = useShell((state) => state.panel);
  if (panel === "none") return null;
  return <Opened panel={panel} />;
}

function open(panel: Panel): void {
  useShell.setState({ panel });
}

function Opened({ panel }: { panel: Open }) {
  const unfinished = useRuns((state) => state.queue.filter((run) => !isOver(run)).length);
  const problems = useGraph((state) => state.problems.length);
  const failed = useRuns((state) => failures(state.nodes).length);
  const counts: Record<Open, number> = { queue: unfinished, gallery: 0, problems: problems + failed };
  const move = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const at = TABS.findIndex(([name]) => name === panel);
    const [next] = TABS.at((at + step) % TABS.length)!;
    open(next);
    document.getElementById(`lg-tab-${next}`)?.focus();
  };
  return (
    <aside className="lg-side" aria-label="Runs" data-testid="side-panel">
      <div className="lg-side-head">
        <div role="tablist" aria-label="Panels" className="lg-side-tabs" tabIndex={-1} onKeyDown={move}>
          {TABS.map(([name, title, icon]) => (
            <button
              key={name} id={`lg-tab-${name}`} type="button" role="tab" aria-selected={name === panel} aria-controls="lg-side-body"
              tabIndex={name === panel ? 0 : -1} data-testid={`tab-${name}`} onClick={() => open(name)}
            ><Icon name={icon} size={14} /> {title}{counts[name] > 0 && <span className={`lg-side-count ${name}`}>{counts[name]}</span>}</button>
          ))}
        </div>
        <button type="button" className="lg-icon-button" aria-label="Close the panel" onClick={() => open("none")}><Icon name="close" /></button>
      </div>
      <div id="lg-side-body" role="tabpanel" aria-labelledby={`lg-tab-${panel}`} className="lg-side-body">
        {panel === "queue" ? <QueuePanel /> : panel === "gallery" ? <Gallery /> : <ProblemsPanel />}
      </div>
    </aside>
  );
}
