/** Open: the server's workflows, a file of this computer, or what a closed tab left unsaved. */
import { type ReactNode, useEffect, useState } from "react";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { closeDialog } from "../state/shell";
import { count, mayLeave, messageOf, openDocument } from "./documents";
import { type Draft, closedDrafts, dropDraft, takeDraft } from "./drafts";
import { chooseFile } from "./choose";
import { ago, useDocuments } from "./lists";

type Tab = "server" | "drafts";

export default function OpenDialog({ data }: { data?: { tab?: Tab } }) {
  const [tab, setTab] = useState<Tab>(data?.tab ?? "server");
  const [drafts, setDrafts] = useState<Draft[]>([]);
  useEffect(() => { closedDrafts().then(setDrafts, () => setDrafts([])); }, []);
  const tabs: [Tab, string][] = [["server", "On the server"], ["drafts", `Unsaved drafts${drafts.length ? ` (${drafts.length})` : ""}`]];
  return (
    <Dialog
      title="Open" size="wide" onClose={closeDialog} testId="dialog-open"
      foot={<>
        <p className="lg-quiet lg-grow">A workflow's JSON, or a PNG that SaveImages wrote, can also be dropped on the canvas.</p>
        <button type="button" className="lg-button" onClick={chooseFile}><Icon name="upload" />From this computer…</button>
      </>}
    >
      <div className="lg-tabs" role="tablist" aria-label="Where from">
        {tabs.map(([name, title]) => (
          <button
            key={name} type="button" role="tab" id={`lg-open-${name}`} aria-controls="lg-open-list" aria-selected={tab === name} tabIndex={tab === name ? 0 : -1}
            className="lg-tab" onClick={() => setTab(name)}
            onKeyDown={(event) => {
              if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
              const other = name === "server" ? "drafts" : "server";
              setTab(other);
              document.getElementById(`lg-open-${other}`)?.focus();
            }}
          >{title}</button>
        ))}
      </div>
      <div role="tabpanel" id="lg-open-list" aria-labelledby={`lg-open-${tab}`}>
        {tab === "server" ? <Documents /> : <Drafts drafts={drafts} setDrafts={setDrafts} />}
      </div>
    </Dialog>
  );
}

function Documents() {
  const { items, failed } = useDocuments();
  const [query, setQuery] = useState("");
  if (failed) return <p className="lg-failed" role="alert"><Icon name="error" />{failed}</p>;
  if (items?.length === 0) return <Empty>No workflows have been saved here yet. Save one, or start from a template.</Empty>;
  const words = query.toLowerCase().split(/\s+/);
  const found = items?.filter(({ title, name, path }) => words.every((word) => `${title} ${name} ${path}`.toLowerCase().includes(word)));
  return (
    <>
      <span className="lg-search">
        <Icon name="search" size={14} />
        <input className="lg-input" type="search" data-autofocus aria-label="Search workflows" placeholder="Search" value={query} onChange={(event) => setQuery(event.target.value)} />
      </span>
      {!found && <Empty>Looking…</Empty>}
      {found?.length === 0 && <Empty>{`No workflow's name holds "${query}".`}</Empty>}
      <ul className="lg-list">
        {found?.map(({ path, name, title, modified, nodes }) => (
          <li key={path}>
            <button type="button" className="lg-list-row" title={path} onClick={() => void openDocument({ path }, title || name)}>
              <Icon name="file" />
              <span className="lg-grow"><strong>{title || name}</strong><span className="lg-quiet">{title && title !== name ? name : ""}</span></span>
              <span className="lg-quiet">{count(nodes, "node", "nodes")}</span>
              <span className="lg-quiet lg-when">{ago(modified * 1000)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function Drafts({ drafts, setDrafts }: { drafts: Draft[]; setDrafts: (drafts: Draft[]) => void }) {
  const [failed, setFailed] = useState("");
  if (!drafts.length) return <Empty>Nothing unsaved was left by a tab that is closed now.</Empty>;
  const drop = (draft: Draft) => {
    dropDraft(draft).then(() => setDrafts(drafts.filter((each) => each !== draft)), (error: unknown) => setFailed(messageOf(error)));
  };
  return (
    <>
      {failed && <p className="lg-failed" role="alert"><Icon name="error" />{failed}</p>}
      <ul className="lg-list">
        {drafts.map((draft) => (
          <li key={draft.tab} className="lg-row">
            <button type="button" className="lg-list-row" onClick={() => void open(draft)}>
              <Icon name="file" />
              <span className="lg-grow"><strong>{draft.title || draft.name}</strong><span className="lg-quiet">{draft.path ?? "never saved"}</span></span>
              <span className="lg-quiet lg-when">{ago(draft.time)}</span>
            </button>
            <button type="button" className="lg-icon-button" aria-label={`Delete the draft of ${draft.title || draft.name}`} onClick={() => drop(draft)}>
              <Icon name="trash" />
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

async function open(draft: Draft): Promise<void> {
  if (!(await mayLeave())) return;
  await takeDraft(draft);
  closeDialog();
}

function Empty({ children }: { children: ReactNode }) {
  return <p className="lg-quiet lg-empty">{children}</p>;
}
