/**
 * Ask before something is lost.
 *
 *     const answer = await question("Unsaved changes", "…", [{ value: "discard", label: "Discard", look: "danger" }]);
 *
 * Returns the chosen value, or null for Cancel, Escape and a click beside the dialog.
 */
import { openDialog } from "../state/shell";

export interface Answer { value: string; label: string; look?: "primary" | "danger" }
export interface Question { title: string; text: string; answers: Answer[]; settle: (value: string | null) => void }

export function question(title: string, text: string, answers: Answer[]): Promise<string | null> {
  return new Promise((settle) => openDialog("ask", { title, text, answers, settle } satisfies Question));
}
