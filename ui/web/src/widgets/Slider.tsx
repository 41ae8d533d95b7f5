/** A number between two limits: a slider, and beside it the number to type. */
import { nudge, sliderStep } from "./numbers";
import { NumberInput } from "./NumberField";
import type { ControlProps } from "./Widget";

export function Slider(props: ControlProps) {
  const { field, value, id, described, onChange } = props;
  const low = field.minimum ?? 0;
  const high = field.maximum ?? 1;
  const step = sliderStep(field);
  const number = typeof value === "number" ? value : low;
  const share = Math.max(0, Math.min(1, (number - low) / (high - low || 1)));
  const say = (text: string, done: boolean) => {
    // A value between two marks, typed beside, stays until the slider itself is moved.
    const next = nudge(Number(text), 0, step, field);
    if (done || next !== value) onChange(next, done);
  };
  return (
    <span className="lg-slider">
      <input
        id={id} className="nodrag nopan nowheel" type="range" min={low} max={high} step={step} value={number} aria-describedby={described}
        style={{ ["--share" as string]: `${share * 100}%` }}
        onChange={(event) => say(event.target.value, false)}
        onPointerUp={(event) => say(event.currentTarget.value, true)} onBlur={(event) => { if (Number(event.target.value) === value) onChange(value, true); }}
      />
      <NumberInput {...props} label={`${field.name}, as a number`} />
    </span>
  );
}
