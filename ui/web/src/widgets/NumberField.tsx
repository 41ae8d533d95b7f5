/** A number: typed, stepped with the arrow keys (Shift: ten times as far), or dragged by its label. */
import { type KeyboardEvent, useEffect, useRef } from "react";
import type { Field, Json } from "../types";
import { useTyping } from "./draft";
import { complaint, nudge, parseNumber, shown, stepOf } from "./numbers";
import type { ControlProps } from "./Widget";

export function NumberField(props: ControlProps) {
  const { field, value, id, onChange } = props;
  const number = typeof value === "number" ? value : 0;
  useLabelDrag(id, number, (start, steps, fast, done) => onChange(nudge(start, steps * (fast ? 10 : 1), stepOf(start, field), field), done));
  return <NumberInput {...props} />;
}

/** The box with the number, also beside a slider and a seed. */
export function NumberInput({ field, value, node, id, described, onChange, label }: ControlProps & { label?: string }) {
  const before = useRef<Json>(value);
  const typing = useTyping(node, field.name, value, value === null ? "" : typeof value === "number" ? shown(value) : String(value));
  const parsed = parseNumber(typing.text);
  const empty = typing.text.trim() === "";
  const trouble = empty ? (field.required ? "a number is needed" : "") : parsed === null ? "this is no number" : complaint(parsed, field);

  const type = (text: string) => {
    const next = parseNumber(text) ?? (text.trim() === "" ? value : text);
    typing.typed(text, next);
    if (next !== value) onChange(next, false);
  };
  const finish = () => {
    const next = empty ? field.default : value;
    typing.settled();
    if (next !== before.current) onChange(next, true);
    before.current = next;
  };
  const press = (event: KeyboardEvent) => {
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (steps !== undefined) {
      event.preventDefault();
      const from = typeof value === "number" ? value : (parsed ?? 0);
      typing.settled();
      onChange(nudge(from, steps * (event.shiftKey ? 10 : 1), stepOf(from, field), field), false);
    } else if (event.key === "Enter") finish();
  };
  return (
    <input
      id={label ? undefined : id} aria-label={label} className="lg-field lg-number nodrag nopan nowheel" type="text" inputMode={field.whole ? "numeric" : "decimal"}
      autoComplete="off" spellCheck={false} value={typing.text} placeholder={placeholder(field)} title={trouble || undefined}
      aria-invalid={trouble !== "" || described !== undefined} aria-describedby={described} aria-required={field.required || undefined}
      onChange={(event) => type(event.target.value)} onKeyDown={press} onFocus={() => { before.current = value; }} onBlur={finish}
    />
  );
}

function placeholder(field: Field): string {
  return field.required ? "needed" : field.default === null ? "none" : String(field.default);
}

type Drag = (start: number, steps: number, fast: boolean, done: boolean) => void;

/** Pixels that the pointer goes for one step. */
const PACE = 4;

/** Dragging the label of the control `id` sideways changes its number. A click without movement gives it the focus. */
function useLabelDrag(id: string, value: number, move: Drag): void {
  const latest = useRef({ value, move });
  useEffect(() => {
    latest.current = { value, move };
  });
  useEffect(() => {
    const label = document.getElementById(id)?.closest(".lg-widget")?.querySelector<HTMLElement>(".lg-widget-label");
    if (!label) return;
    label.classList.add("draggable", "nodrag", "nopan");
    let from: { x: number; value: number; steps: number } | null = null;
    let moved = false;
    const down = (event: PointerEvent) => {
      if (event.button !== 0) return;
      from = { x: event.clientX, value: latest.current.value, steps: 0 };
      moved = false;
      label.setPointerCapture(event.pointerId);
    };
    const drag = (event: PointerEvent) => {
      if (!from) return;
      const steps = Math.round((event.clientX - from.x) / PACE);
      if (steps === from.steps) return;
      moved = true;
      from.steps = steps;
      latest.current.move(from.value, steps, event.shiftKey, false);
    };
    const up = (event: PointerEvent) => {
      if (from && moved) latest.current.move(from.value, from.steps, event.shiftKey, true);
      from = null;
    };
    // A label that was dragged doesn't also give the focus to its field.
    const click = (event: MouseEvent) => { if (moved) event.preventDefault(); };
    label.addEventListener("pointerdown", down);
    label.addEventListener("pointermove", drag);
    label.addEventListener("pointerup", up);
    label.addEventListener("pointercancel", up);
    label.addEventListener("click", click);
    return () => {
      label.removeEventListener("pointerdown", down);
      label.removeEventListener("pointermove", drag);
      label.removeEventListener("pointerup", up);
      label.removeEventListener("pointercancel", up);
      label.removeEventListener("click", click);
    };
  }, [id]);
}
