/** A table in full, to be read, scrolled and copied into a spreadsheet. */
import { useState } from "react";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { closeDialog } from "../state/shell";
import { Grid, type TableResult } from "./Table";
import { tabbed } from "./tables";

export default function LargeTable({ data }: { data: TableResult }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(tabbed(data.columns, data.rows));
      setCopied(true);
    } catch {
      // Without the clipboard (a page over plain http) the text can be selected.
    }
  };
  return (
    <Dialog
      title={data.title || data.name} onClose={closeDialog} size="full" flush testId="dialog-table"
      foot={<>
        <button type="button" className="lg-button" onClick={() => void copy()}><Icon name="copy" /> {copied ? "Copied" : "Copy"}</button>
        <button type="button" className="lg-button primary" data-autofocus onClick={closeDialog}>Close</button>
      </>}
    >
      <div className="lg-table-large"><Grid result={data} /></div>
    </Dialog>
  );
}
