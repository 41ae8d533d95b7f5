/** Why a node failed, in full. */
import { useState } from "react";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { closeDialog } from "../state/shell";

export default function Trace({ data }: { data: { node: string; message: string; trace: string } }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText([data.message, data.trace].filter(Boolean).join("\n\n"));
      setCopied(true);
    } catch {
      // Without the clipboard (a page over plain http) the text can be selected.
    }
  };
  return (
    <Dialog
      title={`${data.node} failed`} onClose={closeDialog} size="wide" testId="dialog-trace"
      foot={<>
        <button type="button" className="lg-button" onClick={() => void copy()}><Icon name="copy" /> {copied ? "Copied" : "Copy"}</button>
        <button type="button" className="lg-button primary" data-autofocus onClick={closeDialog}>Close</button>
      </>}
    >
      <p className="lg-trace-message">{data.message}</p>
      {data.trace && (
        // A scrolled text must be reachable by keyboard.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <section className="lg-trace" tabIndex={0} aria-label="Trace"><pre>{data.trace}</pre></section>
      )}
    </Dialog>
  );
}
