/** Across the page while the server cannot be reached; a short word for screen readers when a run has ended. */
import { Icon } from "../shell/icons";
import { useRuns } from "../state/runs";
import { useShell } from "../state/shell";
import { isOver } from "./progress";

const ENDINGS: Record<string, string> = { done: "is done", failed: "has failed", cancelled: "was cancelled" };

export function Banner() {
  const lost = useRuns((state) => state.connection === "lost");
  const started = useShell((state) => state.workspace.version !== "");
  const ended = useRuns(({ shown }) => (shown && isOver(shown) ? `The run of ${shown.title || shown.name} ${ENDINGS[shown.status]}.` : ""));
  return (
    <>
      {lost && (
        <div className="lg-banner" role="alert" data-testid="lost">
          <Icon name="warning" />
          <span>
            {started ? "The server cannot be reached. Your work is kept here; trying again…" : "The server cannot be reached. Trying again…"}
          </span>
        </div>
      )}
      <output className="lg-hidden">{ended}</output>
    </>
  );
}
