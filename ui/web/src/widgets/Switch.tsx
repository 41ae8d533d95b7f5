/** Yes or no. */
import type { ControlProps } from "./Widget";

export function Switch({ value, id, described, onChange }: ControlProps) {
  return (
    <span className="lg-switch-place">
      <input
        id={id} className="lg-switch nodrag nopan" type="checkbox" role="switch" checked={value === true} aria-checked={value === true}
        aria-describedby={described} onChange={(event) => onChange(event.target.checked, true)}
      />
    </span>
  );
}
