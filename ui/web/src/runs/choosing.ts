/** Which run to show for what is on the canvas, and going back to the workflow of a run. */
import { openDocument } from "../files/documents";
import { Lost, Refused, server } from "../server";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import { notify, type OpenFile, useShell } from "../state/shell";
import type { RunRecord } from "../types";
import { remembered, show } from "./following";
import { isOver } from "./progress";

/** The run that the user asked to see: it stays although it is of another document. */
let asked: string | null = null;

/** Whether a run is of the document that is open: of its file, or of its name where it has none. */
export function isOf(run: RunRecord, file: OpenFile): boolean {
  return file.path === null ? run.path === null && run.name === file.name : run.path === file.path;
}

/** The newest unfinished run, else the newest; of those that are given. */
export function newest(runs: readonly RunRecord[]): RunRecord | null {
  return lastMade(runs.filter((run) => !isOver(run))) ?? lastMade(runs);
}

function lastMade(runs: readonly RunRecord[]): RunRecord | null {
  return runs.reduce<RunRecord | null>((best, run) => (best && best.created >= run.created ? best : run), null);
}

/** After the page was loaded: go on with the run that this tab showed, else with what there is. */
export async function chooseFirst(restored: boolean): Promise<void> {
  const { queue } = useRuns.getState();
  const before = restored ? queue.find((run) => run.id === remembered()) : undefined;
  if (before) {
    show(before);
    return;
  }
  if (Object.keys(useGraph.getState().graph.nodes).length) {
    chooseAgain();
    return;
  }
  const unfinished = newest(queue.filter((run) => !isOver(run)));
  if (unfinished) await openWorkflow(unfinished);
}

/** After another document was opened. */
export function chooseAgain(): void {
  const { queue, shown } = useRuns.getState();
  const { file } = useShell.getState();
  if (shown && (shown.id === asked || isOf(shown, file))) return;
  asked = null;
  const empty = !Object.keys(useGraph.getState().graph.nodes).length;
  show(empty ? null : newest(queue.filter((run) => isOf(run, file))));
}

/** Show a run on the nodes that are on the canvas. */
export function showRun(run: RunRecord): void {
  asked = run.id;
  show(run);
}

/** Open the workflow as it was run, and show the run on it. Saving it asks for a name: the file may have gone on. */
export async function openWorkflow(run: { id: string; name: string }): Promise<void> {
  try {
    const answer = await server().call<{ run: RunRecord; text: string }>("run", { run: run.id });
    asked = answer.run.id;
    if (await openDocument({ text: answer.text, name: answer.run.name })) show(answer.run, { text: answer.text });
  } catch (error) {
    if (error instanceof Refused) notify("error", "The run's workflow could not be opened.", { detail: error.message });
    else if (error instanceof Lost) notify("warning", "The server cannot be reached; nothing was opened.");
    else throw error;
  }
}

/** Choose again whenever another document is on the canvas, until the returned function is called. */
export function watchDocument(): () => void {
  return useGraph.subscribe((state, before) => {
    // The file's name is set right after (or before) the graph: look when both are there.
    if (state.loads !== before.loads) setTimeout(chooseAgain, 0);
  });
}
