/** One of several: the browser's own list, so that it works with keys, with touch, and at every zoom. */
import type { ControlProps } from "./Widget";

export function Choice({ field, value, id, described, onChange }: ControlProps) {
  const known = field.choices.findIndex((choice) => choice === value);
  return (
    <select
      id={id} className="lg-field lg-select nodrag nopan nowheel" value={known} aria-invalid={described !== undefined} aria-describedby={described}
      onChange={(event) => onChange(field.choices[Number(event.target.value)] ?? null, true)}
    >
      {known < 0 && <option value={-1} disabled>{value === null ? "choose" : `${String(value)} (not a choice)`}</option>}
      {field.choices.map((choice, place) => <option key={String(choice)} value={place}>{String(choice).replaceAll("_", " ")}</option>)}
    </select>
  );
}
