/** Which nodes of the opened workflow are not installed here, and which package has them. */
import { Dialog } from "../shell/Dialog";
import { closeDialog } from "../state/shell";
import type { WorkflowDocument } from "../types";

export default function Missing({ data }: { data: { missing: Record<string, string>; document: WorkflowDocument } }) {
  const found = Object.entries(data.missing);
  return (
    <Dialog
      title={found.length === 1 ? "A node is not installed here" : `${found.length} nodes are not installed here`} onClose={closeDialog}
      testId="dialog-missing" foot={<button type="button" className="lg-button primary" data-autofocus onClick={closeDialog}>Go on</button>}
    >
      <p>The workflow is open and nothing of it is lost: these nodes are shown as placeholders. It can't run before their packages are installed.</p>
      <ul className="lg-problems">
        {found.map(([id, hint]) => (
          <li key={id}><strong>{id}</strong> ({data.document.nodes[id]?.type}): {hint}</li>
        ))}
      </ul>
    </Dialog>
  );
}
