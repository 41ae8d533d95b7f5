/** A question with some answers, as a dialog: `ask` (shell/question.ts) opens it. */
import { useEffect } from "react";
import { closeDialog } from "../state/shell";
import type { Question } from "./question";
import { Dialog } from "./Dialog";

export default function Ask({ data }: { data: Question }) {
  const { title, text, answers, settle } = data;
  // Whatever closes the dialog without an answer leaves things as they are.
  useEffect(() => () => settle(null), [settle]);
  const answer = (value: string | null) => { settle(value); closeDialog(); };
  return (
    <Dialog
      title={title} onClose={() => answer(null)} testId="dialog-ask"
      foot={<>
        <button type="button" className="lg-button" onClick={() => answer(null)}>Cancel</button>
        {answers.map(({ value, label, look }) => (
          <button
            key={value} type="button" className={`lg-button ${look ?? ""}`} data-autofocus={look === "primary" || undefined}
            onClick={() => answer(value)}
          >{label}</button>
        ))}
      </>}
    >
      <p>{text}</p>
    </Dialog>
  );
}
