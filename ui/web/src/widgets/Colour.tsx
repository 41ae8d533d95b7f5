/** A colour: the system's own picker, and beside it #rrggbb to type. */
import { useTyping } from "./draft";
import type { ControlProps } from "./Widget";

const HEX = /^#[0-9a-f]{6}$/i;

/** "#f80", "ff8800" and "#FF8800" are all "#ff8800"; anything else stays what it is. */
export function normal(text: string): string {
  const digits = text.trim().replace(/^#/, "").toLowerCase();
  if (/^[0-9a-f]{3}$/.test(digits)) return `#${[...digits].map((digit) => digit + digit).join("")}`;
  return /^[0-9a-f]{6}$/.test(digits) ? `#${digits}` : text;
}

export function Colour({ field, node, value, id, described, onChange }: ControlProps) {
  const colour = typeof value === "string" && HEX.test(value) ? value : "#000000";
  const typing = useTyping(node, field.name, value, typeof value === "string" ? value : "");
  const wrong = !HEX.test(normal(typing.text));
  const type = (text: string) => {
    const next = HEX.test(text) ? text.toLowerCase() : text;
    typing.typed(text, next);
    if (next !== value) onChange(next, false);
  };
  const finish = () => {
    const next = typing.text.trim() === "" ? field.default : normal(typing.text);
    typing.settled();
    onChange(next, true);
  };
  return (
    <span className="lg-colour">
      <input
        className="lg-swatch nodrag nopan" type="color" value={colour} aria-label={`${field.name}: choose a colour`}
        onChange={(event) => onChange(event.target.value, false)} onBlur={() => onChange(value, true)}
      />
      <input
        id={id} className="lg-field nodrag nopan nowheel" type="text" value={typing.text} spellCheck={false} autoComplete="off" maxLength={9}
        aria-invalid={wrong || described !== undefined} aria-describedby={described} title={wrong ? "written like #ff8800" : undefined}
        onChange={(event) => type(event.target.value)} onBlur={finish} onKeyDown={(event) => { if (event.key === "Enter") finish(); }}
      />
    </span>
  );
}
