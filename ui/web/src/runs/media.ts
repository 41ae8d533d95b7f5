/** Which nodes have something to show below their settings. Pure but for the memory of the last answer. */
import type { RunsState } from "../state/runs";
import type { NodeRun, PictureView, ResultView } from "../types";

/** How tall the run's part of a node is, in pixels at zoom 1. */
export const MEDIA_HEIGHT = 176;

export function hasMedia(run: NodeRun | undefined, results: readonly ResultView[] | undefined): boolean {
  if (results?.length) return true;
  if (!run) return false;
  return run.preview !== "" || Object.values(run.curves).some((points) => points.length > 1) || (run.state === "running" && run.total > 0);
}

let lastNodes: RunsState["nodes"] | null = null;
let lastResults: RunsState["results"] | null = null;
let lastSet: ReadonlySet<string> = new Set();

/** The ids of those nodes: the same set as long as it has the same members, though events come in all the time. */
export function withMedia({ nodes, results }: Pick<RunsState, "nodes" | "results">): ReadonlySet<string> {
  if (nodes === lastNodes && results === lastResults) return lastSet;
  lastNodes = nodes;
  lastResults = results;
  const now = new Set<string>();
  for (const id in nodes) if (hasMedia(nodes[id], results[id])) now.add(id);
  for (const id in results) if (!now.has(id) && hasMedia(nodes[id], results[id])) now.add(id);
  if (now.size !== lastSet.size || [...now].some((id) => !lastSet.has(id))) lastSet = now;
  return lastSet;
}

/** How a picture's tiles lie in a field: how many columns, how large a square, and how many there is room for. */
export function tiling(count: number, width: number, height: number, gap: number, least: number): { columns: number; side: number; shown: number } {
  const most = Math.max(1, Math.floor((width + gap) / (least + gap))) * Math.max(1, Math.floor((height + gap) / (least + gap)));
  const shown = Math.max(1, Math.min(count, most));
  let best = { columns: 1, side: 0, shown };
  for (let columns = 1; columns <= shown; columns++) {
    const rows = Math.ceil(shown / columns);
    const side = Math.floor(Math.min((width - gap * (columns - 1)) / columns, (height - gap * (rows - 1)) / rows));
    if (side > best.side) best = { columns, side, shown };
  }
  return best;
}

/** Very small pictures are shown with their pixels, not blurred. */
export function small(picture: PictureView): boolean {
  return picture.width > 0 && Math.max(picture.width, picture.height) <= 64;
}
