/** The run's controls in the top bar: Run with its choices, how far the shown run is, and Cancel. */
import { find, perform, shown as keysShown } from "../commands";
import { Icon } from "../shell/icons";
import { MenuButton, type MenuItem, commandItem } from "../shell/Menu";
import { useRuns } from "../state/runs";
import { togglePanel } from "./commands";
import { isOver, standing } from "./progress";
import { cancel, toCancel } from "./submitting";

export function RunBar() {
  const lost = useRuns((state) => state.connection === "lost");
  return (
    <div className="lg-runbar">
      <Progress />
      <CancelButton />
      <span className={`lg-split ${lost ? "lost" : ""}`}>
        <button
          type="button" className="lg-button primary" disabled={lost} title={lost ? "The server cannot be reached" : `Run all (${keysShown("Mod+Enter")})`}
          data-testid="run" onClick={() => perform("run.all")}
        ><Icon name="play" size={14} /> Run</button>
        <MenuButton label="More ways to run" className="lg-button primary lg-split-more" side="right" items={choices} testId="run-menu">
          <Icon name="down" size={13} />
        </MenuButton>
      </span>
    </div>
  );
}

function choices(): MenuItem[] {
  return ["run.all", "run.to", "run.from", "run.front", "run.cancel"].map((id) => commandItem(find(id)!));
}

function CancelButton() {
  const run = useRuns(toCancel);
  if (!run) return null;
  return (
    <button
      type="button" className="lg-button" data-testid="cancel" disabled={run.stopping} title={`Cancel the run (${keysShown("Mod+.")})`}
      onClick={() => void cancel(run)}
    ><Icon name="stop" size={12} /> <span className="lg-runbar-word">{run.stopping ? "Stopping…" : "Cancel"}</span></button>
  );
}

function openQueue(): void {
  togglePanel("queue");
}

/** How far the shown run is; where none is shown or it has ended, how many others are at work. */
function Progress() {
  const shown = useRuns((state) => state.shown);
  const text = useRuns((state) => (state.shown && !isOver(state.shown) ? standing(state.shown, state.nodes).text : ""));
  const part = useRuns((state) => (state.shown && !isOver(state.shown) ? Math.round(standing(state.shown, state.nodes).fraction * 200) / 200 : 0));
  const others = useRuns((state) => state.queue.filter((run) => !isOver(run) && run.id !== state.shown?.id).length);
  if (!shown || isOver(shown)) {
    if (!others) return null;
    return <button type="button" className="lg-running" onClick={openQueue}><span>{others === 1 ? "1 run goes on" : `${others} runs go on`}</span></button>;
  }
  return (
    <button type="button" className="lg-running" onClick={openQueue} data-testid="progress" title={`${shown.title || shown.name}: ${text}`}>
      <span className="lg-running-text">{text}{others ? ` · ${others} more` : ""}</span>
      <span className="lg-running-line" aria-hidden="true"><span style={{ width: `${part * 100}%` }} /></span>
    </button>
  );
}
