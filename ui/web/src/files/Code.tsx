/** Text to take along: a command or a program, with a button that copies it. */
import { useState } from "react";
import { Icon } from "../shell/icons";
import { copyText } from "./clipboard";

export function Code({ text, label }: { text: string; label: string }) {
  const [state, setState] = useState<"" | "copied" | "refused">("");
  const copy = async () => setState((await copyText(text)) ? "copied" : "refused");
  return (
    <div className="lg-code">
      {/* Scrollable, so it can be reached by the keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0} aria-label={label}>{text}</pre>
      <button type="button" className="lg-button small" data-autofocus onClick={() => void copy()}>
        <Icon name={state === "copied" ? "check" : "copy"} size={14} />
        {{ "": "Copy", copied: "Copied", refused: "Select it and press Ctrl+C" }[state]}
      </button>
    </div>
  );
}
