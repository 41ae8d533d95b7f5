/** Somebody else saved the same file: whose version stays is decided here, and nowhere else is anything overwritten. */
import { useEffect, useRef } from "react";
import { Dialog } from "../shell/Dialog";
import { closeDialog, useShell } from "../state/shell";
import { type Theirs, askName, mayDiscard, save, showTheirs } from "./documents";

export default function Conflict({ data }: { data: { theirs: Theirs; settle: (saved: boolean) => void } }) {
  const { theirs, settle } = data;
  const name = useShell((state) => state.file.name);
  const decided = useRef(false);
  useEffect(() => () => { if (!decided.current) settle(false); }, [settle]);
  const mine = () => { decided.current = true; closeDialog(); void save(true).then(settle); };
  const copy = () => { decided.current = true; closeDialog(); void askName().then(settle); };
  const take = async () => {
    settle(false);
    closeDialog();
    if (await mayDiscard()) await showTheirs(theirs);
  };
  return (
    <Dialog
      title={`"${name}" was saved by someone else`} onClose={closeDialog} testId="dialog-conflict"
      foot={<>
        <button type="button" className="lg-button" onClick={() => void take()}>Show theirs</button>
        <button type="button" className="lg-button danger" onClick={mine}>Replace with mine</button>
        <button type="button" className="lg-button primary" data-autofocus onClick={copy}>Save a copy…</button>
      </>}
    >
      <p>
        Since you opened it, another window or person saved this file. To lose neither version, save yours as a copy.
        Showing theirs gives up your changes; replacing gives up theirs.
      </p>
    </Dialog>
  );
}
