import { Dialog } from "../shell/Dialog";
import { closeDialog } from "../state/shell";
import { Code } from "./Code";

export default function CommandDialog({ data }: { data: { line: string } }) {
  return (
    <Dialog title="Run it from the command line" onClose={closeDialog} testId="dialog-command">
      <Code text={data.line} label="Command" />
    </Dialog>
  );
}
