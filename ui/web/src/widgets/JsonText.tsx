/** Anything else, as JSON: checked at every key. Half-written JSON stays in the field and doesn't reach the graph. */
import { useRef } from "react";
import type { Json } from "../types";
import { useTyping } from "./draft";
import type { ControlProps } from "./Widget";

export function JsonText({ field, node, value, id, described, onChange }: ControlProps) {
  const before = useRef(JSON.stringify(value));
  const typing = useTyping(node, field.name, value, value === null && !field.required ? "" : pretty(value));
  const { value: parsed, error } = read(typing.text, field.default);
  const type = (text: string) => {
    const next = read(text, field.default);
    const now = next.error === null ? next.value : value;
    typing.typed(text, now, next.error !== null);
    if (JSON.stringify(now) !== JSON.stringify(value)) onChange(now, false);
  };
  const finish = () => {
    if (error !== null) return;
    typing.settled();
    if (JSON.stringify(parsed) !== before.current) onChange(parsed, true);
    before.current = JSON.stringify(parsed);
  };
  return (
    <>
      <textarea
        id={id} className="lg-field lg-area lg-json nodrag nopan nowheel" value={typing.text} spellCheck={false}
        aria-invalid={error !== null || described !== undefined} aria-describedby={error === null ? described : `${id}-json`}
        onChange={(event) => type(event.target.value)} onFocus={() => { before.current = JSON.stringify(value); }} onBlur={finish}
      />
      {error !== null && <output id={`${id}-json`} htmlFor={id} className="lg-widget-error">{error}</output>}
    </>
  );
}

/** Short values on one line, longer ones with one member a line. */
export function pretty(value: Json): string {
  const short = JSON.stringify(value);
  return short.length <= 34 ? short : JSON.stringify(value, null, 1);
}

export function read(text: string, empty: Json): { value: Json; error: string | null } {
  if (text.trim() === "") return { value: empty, error: null };
  try {
    return { value: JSON.parse(text) as Json, error: null };
  } catch (error) {
    return { value: null, error: reason(error instanceof Error ? error.message : "", text) };
  }
}

/** What the browser says is wrong, in fewer words. */
function reason(said: string, text: string): string {
  const place = /position (\d+)/.exec(said)?.[1];
  if (/end of|unterminated/i.test(said)) return "not finished yet";
  if (place === undefined) return "this is no JSON";
  const line = text.slice(0, Number(place)).split("\n").length;
  const sign = text[Number(place)];
  return `${sign ? `"${sign}" can't stand here` : "no JSON"}, line ${line}`;
}
