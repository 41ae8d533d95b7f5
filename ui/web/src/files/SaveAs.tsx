/** Ask for the file name; a taken name asks once more. */
import { type FormEvent, useEffect, useId, useState } from "react";
import { Lost, Refused } from "../server";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import { closeDialog, useShell } from "../state/shell";
import { download, messageOf, saveAs } from "./documents";

export default function SaveAs({ data }: { data: { settle: (saved: boolean) => void } }) {
  const { settle } = data;
  const [name, setName] = useState(proposal);
  const [taken, setTaken] = useState(false);
  const [failed, setFailed] = useState("");
  const [lost, setLost] = useState(false);
  const [busy, setBusy] = useState(false);
  const id = useId();
  useEffect(() => () => settle(false), [settle]);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!name.trim() || busy) return;
    setBusy(true);
    setFailed("");
    try {
      await saveAs(name.trim(), taken);
      settle(true);
      closeDialog();
    } catch (error) {
      const conflict = error instanceof Refused && Boolean(error.data.conflict);
      setTaken(conflict);
      setLost(error instanceof Lost);
      setFailed(conflict ? "There is already a workflow of this name. Choose another, or replace it." : messageOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="Save as" onClose={closeDialog} testId="dialog-save-as"
      foot={<>
        <button type="button" className="lg-button" onClick={closeDialog}>Cancel</button>
        {lost && <button type="button" className="lg-button" onClick={download}><Icon name="download" />Download</button>}
        <button type="submit" form={`${id}form`} className={`lg-button ${taken ? "danger" : "primary"}`} disabled={busy || !name.trim()}>
          {taken ? "Replace" : "Save"}
        </button>
      </>}
    >
      <form id={`${id}form`} onSubmit={(event) => void submit(event)}>
        <label className="lg-label" htmlFor={id}>File name</label>
        <input
          id={id} className="lg-input" data-autofocus value={name} maxLength={120} autoComplete="off" spellCheck={false}
          onFocus={(event) => event.target.select()} onChange={(event) => { setName(event.target.value); setTaken(false); setFailed(""); }}
        />
        <p className="lg-quiet lg-small">Kept among the workflows on the server, as a .json file.</p>
        {failed && <p className="lg-failed" role="alert"><Icon name="error" />{failed}{lost && " Your work is kept in this browser; you can also download it."}</p>}
      </form>
    </Dialog>
  );
}

/** The title as a file name, else the name so far. */
function proposal(): string {
  const { title } = useGraph.getState().graph;
  const { name } = useShell.getState().file;
  return (title || name).replaceAll(/[/\\:*?"<>|\p{Cc}]/gu, " ").replace(/\.json$/, "").trim().slice(0, 100) || "workflow";
}
