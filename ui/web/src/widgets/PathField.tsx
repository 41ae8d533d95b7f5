/** The path of a file, folder, model or LoRA: typed, looked for on the server, sent there, or dropped onto the field. */
import { type DragEvent, type MouseEvent, useEffect, useRef, useState } from "react";
import { fileUrl } from "../server";
import { Icon } from "../shell/icons";
import { registerDialog } from "../shell/registry";
import { notify, openDialog } from "../state/shell";
import { useTyping } from "./draft";
import { NOUNS, type PathKind, isAbsolute, isPicture } from "./paths";
import { send } from "./upload";
import type { ControlProps } from "./Widget";

registerDialog("browse", () => import("./Browse"));

const POPUP = 340;

export function PathField({ field, node, value, id, described, onChange }: ControlProps) {
  const kind = field.kind as PathKind;
  const path = typeof value === "string" ? value : "";
  const typing = useTyping(node, field.name, value, path);
  const before = useRef(value);
  const input = useRef<HTMLInputElement>(null);
  // The end of a path says the most.
  useEffect(() => {
    if (input.current && input.current !== document.activeElement) input.current.scrollLeft = input.current.scrollWidth;
  });
  const [over, setOver] = useState(false);
  const [sending, setSending] = useState(false);
  const takesFiles = kind === "file" || kind === "lora";
  const offered = `${id}-offered`;

  const write = (text: string, done: boolean) => {
    const next = text === "" && field.default === null && !field.required ? null : text;
    typing.typed(text, next);
    if (next !== value || done) onChange(next, done);
  };
  const onPick = (chosen: string) => {
    before.current = chosen;
    write(chosen, true);
  };
  const browse = (event: MouseEvent) => {
    const { right, bottom } = event.currentTarget.getBoundingClientRect();
    openDialog("browse", { kind, suggestions: field.suggestions, value: path, at: [right - POPUP, bottom + 4], onPick });
  };
  const finish = () => {
    typing.settled();
    if (input.current) input.current.scrollLeft = input.current.scrollWidth;
    if (value !== before.current) onChange(value, true);
    before.current = value;
  };
  const drop = async (event: DragEvent) => {
    const file = event.dataTransfer.files[0];
    setOver(false);
    if (!takesFiles || !file) return;
    event.preventDefault();
    event.stopPropagation();
    setSending(true);
    try {
      write(await send(file), true);
    } catch (error) {
      notify("error", `${file.name} could not be sent to the server.`, { detail: error instanceof Error ? error.message : String(error) });
    } finally {
      setSending(false);
    }
  };
  return (
    <span
      className={`lg-path ${over ? "over" : ""}`} onDrop={(event) => void drop(event)} onDragLeave={() => setOver(false)}
      onDragOver={(event) => {
        if (!takesFiles || !event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        event.stopPropagation();
        setOver(true);
      }}
    >
      {isPicture(path) && isAbsolute(path) && <Thumbnail key={path} path={path} />}
      <input
        ref={input} id={id} className="lg-field nodrag nopan nowheel" type="text" value={sending ? "sending…" : typing.text} readOnly={sending} placeholder={field.required ? `a ${NOUNS[kind]}` : "none"}
        spellCheck={false} autoComplete="off" title={typing.text || undefined} list={field.suggestions.length > 0 ? offered : undefined}
        aria-invalid={described !== undefined} aria-describedby={described} aria-required={field.required || undefined}
        onChange={(event) => write(event.target.value, false)} onFocus={() => { before.current = value; }} onBlur={finish}
        onKeyDown={(event) => { if (event.key === "Enter") finish(); }}
      />
      {field.suggestions.length > 0 && <datalist id={offered}>{field.suggestions.map((each) => <option key={each} value={each}>{each}</option>)}</datalist>}
      <button
        type="button" className="lg-mini nodrag nopan" aria-label={`Look for a ${NOUNS[kind]}: ${field.name}`} title={`Look for a ${NOUNS[kind]}`}
        aria-haspopup="dialog" onClick={browse}
      >
        <Icon name={kind === "file" ? "file" : kind === "lora" ? "layers" : kind === "model" ? "cube" : "folder"} size={14} />
      </button>
    </span>
  );
}

/** A picture beside its path; nothing where the browser can't have it. */
function Thumbnail({ path }: { path: string }) {
  const [bad, setBad] = useState(false);
  return bad ? null : <img className="lg-thumbnail" src={fileUrl(path)} alt="" draggable={false} loading="lazy" onError={() => setBad(true)} />;
}
