import { Dialog } from "../shell/Dialog";
import { closeDialog } from "../state/shell";
import { TemplateCards } from "./TemplateCards";

export default function TemplatesDialog() {
  return (
    <Dialog title="Start from a template" size="wide" onClose={closeDialog} testId="dialog-templates">
      <TemplateCards />
    </Dialog>
  );
}
