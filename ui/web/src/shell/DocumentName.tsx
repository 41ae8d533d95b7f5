/** The title of the document, edited in place; a dot says that something is not saved. */
import { useState } from "react";
import { useGraph } from "../state/graph";
import { useShell } from "../state/shell";

export function DocumentName() {
  const title = useGraph((state) => state.graph.title);
  const unsaved = useGraph((state) => state.graph !== state.saved);
  const file = useShell((state) => state.file);
  const [draft, setDraft] = useState<string | null>(null);
  const name = title || file.name;
  const take = () => {
    const next = draft?.trim();
    setDraft(null);
    if (next === undefined || next === name) return;
    useGraph.getState().edit("rename the workflow", (graph) => ({ ...graph, title: next }));
  };
  return (
    <span className="lg-name" title={file.path ?? "Not saved on the server yet"}>
      <span className="lg-name-field" data-text={draft ?? name}>
        <input
          className="lg-name-input" aria-label="Title of the workflow" data-testid="title" value={draft ?? name} maxLength={200} size={1}
          autoComplete="off" spellCheck={false}
          onFocus={(event) => { setDraft(name); event.target.select(); }}
          onChange={(event) => setDraft(event.target.value)} onBlur={take}
          onKeyDown={(event) => {
            if (event.key === "Enter") event.currentTarget.blur();
            if (event.key === "Escape") { setDraft(null); requestAnimationFrame(() => (event.target as HTMLElement).blur()); }
          }}
        />
      </span>
      <span className={`lg-unsaved ${unsaved ? "on" : ""}`} data-testid="unsaved" title={unsaved ? "Unsaved changes" : undefined}>
        <span className="lg-hidden">{unsaved ? "Unsaved changes" : "No unsaved changes"}</span>
      </span>
    </span>
  );
}
