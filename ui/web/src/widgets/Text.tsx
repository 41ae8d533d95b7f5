/** Text: one line, several lines, or a list with one item a line. */
import { type ChangeEvent, useRef } from "react";
import type { Json } from "../types";
import { useTyping } from "./draft";
import type { ControlProps } from "./Widget";

/** `type` is for every key, `finish` when the field is left: what was typed is then one step. */
function useText({ field, node, value, onChange }: ControlProps, write: (value: Json) => string, read: (text: string) => Json) {
  const before = useRef(JSON.stringify(value));
  const typing = useTyping(node, field.name, value, value === null ? "" : write(value));
  return {
    value: typing.text,
    type({ target, nativeEvent }: Typed) {
      const next = read(target.value);
      typing.typed(target.value, next);
      if (JSON.stringify(next) !== JSON.stringify(value)) onChange(next, endsStep(nativeEvent));
    },
    enter() {
      before.current = JSON.stringify(value);
    },
    finish() {
      typing.settled();
      if (JSON.stringify(value) !== before.current) onChange(value, true);
      before.current = JSON.stringify(value);
    },
  };
}

type Typed = ChangeEvent<HTMLInputElement | HTMLTextAreaElement>;

/** Undo goes word by word, line by line, and takes back what was pasted in one. */
function endsStep(event: Event): boolean {
  return event instanceof InputEvent && (event.data === " " || /^insert(LineBreak|Paragraph|FromPaste|FromDrop)$/.test(event.inputType));
}

function asText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function Line(props: ControlProps) {
  const { field, id, described } = props;
  // An optional text that is left empty is none, not an empty one.
  const { value, type, enter, finish } = useText(props, asText, (text) => (text === "" && field.default === null && !field.required ? null : text));
  return (
    <input
      id={id} className="lg-field nodrag nopan nowheel" type="text" value={value} placeholder={field.required ? "needed" : ""} spellCheck={false} autoComplete="off"
      aria-invalid={described !== undefined} aria-describedby={described} aria-required={field.required || undefined}
      onChange={type} onFocus={enter} onBlur={finish} onKeyDown={(event) => { if (event.key === "Enter") finish(); }}
    />
  );
}

export function Multiline(props: ControlProps) {
  const { value, type, enter, finish } = useText(props, asText, (text) => text);
  return <Area {...props} text={value} type={type} enter={enter} finish={finish} />;
}

export function Lines(props: ControlProps) {
  const { value, type, enter, finish } = useText(
    props,
    (value) => (Array.isArray(value) ? value.map(asText).join("\n") : asText(value)),
    // A blank line within is an item (a row without a title); those below the last item are none.
    (text) => (text.trim() === "" ? [] : text.trimEnd().split("\n")),
  );
  return <Area {...props} text={value} type={type} enter={enter} finish={finish} />;
}

interface AreaProps extends ControlProps { text: string; type: (event: Typed) => void; enter: () => void; finish: () => void }

function Area({ field, id, described, text, type, enter, finish }: AreaProps) {
  return (
    <textarea
      id={id} className="lg-field lg-area nodrag nopan nowheel" value={text} spellCheck={false} placeholder={field.kind === "lines" ? "one a line" : field.required ? "needed" : ""}
      aria-invalid={described !== undefined} aria-describedby={described} aria-required={field.required || undefined}
      onChange={type} onFocus={enter} onBlur={finish}
    />
  );
}
