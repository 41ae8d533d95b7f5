/** A seed: the number, dice for a new one, and a lock. A seed that is not locked is drawn anew before each run. */
import { setRandomise } from "../graph/operations";
import { Icon } from "../shell/icons";
import { useGraph } from "../state/graph";
import { NumberInput } from "./NumberField";
import { freshSeed } from "./seeds";
import type { ControlProps } from "./Widget";

export function Seed(props: ControlProps) {
  const { field, node, onChange } = props;
  const random = node.randomise.includes(field.name);
  const toggle = () => useGraph.getState().edit(random ? "lock the seed" : "unlock the seed", (graph) => setRandomise(graph, node.id, field.name, !random));
  return (
    <span className="lg-with-buttons">
      <NumberInput {...props} />
      <button type="button" className="lg-mini nodrag nopan" aria-label="New seed" title="New seed" onClick={() => onChange(freshSeed(field), true)}>
        <Icon name="dice" size={14} />
      </button>
      <button
        type="button" className="lg-mini nodrag nopan" aria-pressed={random} aria-label="New seed for each run"
        title={random ? "A new seed is drawn for each run. Click to keep this one." : "This seed is kept. Click to draw a new one for each run."} onClick={toggle}
      >
        <Icon name={random ? "unlock" : "lock"} size={14} />
      </button>
    </span>
  );
}
