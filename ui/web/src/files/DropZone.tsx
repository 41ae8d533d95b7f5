/** Files dragged over the page: a workflow, or a picture that carries one, opens wherever nothing else takes the file. */
import { useEffect, useState } from "react";
import { Icon } from "../shell/icons";
import { useShell } from "../state/shell";
import { openFile } from "./documents";

/** A dialog that is at work, such as the painter, is not to be taken away by a file that misses its field. */
function isBusy(): boolean {
  const { dialog } = useShell.getState();
  return dialog !== null && dialog.name !== "open" && dialog.name !== "templates";
}

export function DropZone() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const moved = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      if (isBusy()) {
        event.preventDefault();
        event.dataTransfer!.dropEffect = "none";
        return;
      }
      // A widget that takes the file has said so already.
      setOver(!event.defaultPrevented);
      event.preventDefault();
    };
    const left = (event: DragEvent) => { if (event.relatedTarget === null) setOver(false); };
    const dropped = (event: DragEvent) => {
      setOver(false);
      if (event.defaultPrevented || !holdsFiles(event)) return;
      event.preventDefault();
      const file = isBusy() ? undefined : event.dataTransfer?.files[0];
      if (file) void openFile(file);
    };
    window.addEventListener("dragover", moved);
    window.addEventListener("dragleave", left);
    window.addEventListener("drop", dropped);
    return () => {
      window.removeEventListener("dragover", moved);
      window.removeEventListener("dragleave", left);
      window.removeEventListener("drop", dropped);
    };
  }, []);
  if (!over) return null;
  return (
    <div className="lg-drop" data-testid="drop-zone">
      <p><Icon name="upload" size={22} />Drop to open the workflow, or the picture that carries one</p>
    </div>
  );
}
