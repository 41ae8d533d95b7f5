/** What an empty canvas says: how to begin. It goes when the first node comes. */
import { useGraph } from "../state/graph";
import { openDialog } from "../state/shell";
import { Icon } from "../shell/icons";
import { chooseFile } from "./choose";
import { TemplateCards } from "./TemplateCards";

export function StartCard() {
  const empty = useGraph(({ graph }) => !hasAny(graph.nodes) && !hasAny(graph.notes) && !hasAny(graph.groups));
  const ready = useGraph(({ catalog }) => hasAny(catalog.nodes));
  if (!empty || !ready) return null;
  return (
    <section className="lg-start" aria-label="Start" data-testid="start">
      <div className="lg-start-card">
        <h2>Start from a template</h2>
        <TemplateCards most={3} />
        <p className="lg-start-or">or begin with an empty canvas: <strong>double-click</strong> it, press <kbd className="lg-keys">Space</kbd>, or drag a node out of the list.</p>
        <div className="lg-row">
          <button type="button" className="lg-button" onClick={() => openDialog("templates")}><Icon name="template" />All templates</button>
          <button type="button" className="lg-button" onClick={() => openDialog("open")}><Icon name="folder" />Open…</button>
          <button type="button" className="lg-button" onClick={chooseFile}><Icon name="upload" />From this computer…</button>
        </div>
      </div>
    </section>
  );
}

function hasAny(items: Record<string, unknown>): boolean {
  for (const _ in items) return true;
  return false;
}
