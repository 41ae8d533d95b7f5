/** One setting on its node: the label at the left (above, where the control is tall), the control, and what is wrong. */
import { type ComponentType, type KeyboardEvent, useId } from "react";
import { perform } from "../commands";
import { late } from "../shell/late";
import type { Field, GraphNode, Json, WidgetKind } from "../types";
import { Choice } from "./Choice";
import { Colour } from "./Colour";
import { HEIGHTS } from "./heights";
import { JsonText } from "./JsonText";
import { NumberField } from "./NumberField";
import { PathField } from "./PathField";
import { Seed } from "./Seed";
import { Slider } from "./Slider";
import { Switch } from "./Switch";
import { Line, Lines, Multiline } from "./Text";

const Regions = late<ControlProps>(() => import("./Regions"), null);

/** `done` false while a slider or a brush moves, so that the whole movement is one undo step. */
export interface WidgetProps {
  field: Field;
  value: Json;
  node: GraphNode;
  problem: string | undefined;
  onChange: (value: Json, done?: boolean) => void;
}

/** What a control gets beside its widget's properties: the id that its label names, and that of what is wrong with it. */
export interface ControlProps extends WidgetProps {
  id: string;
  described: string | undefined;
}

const CONTROLS: Record<WidgetKind, ComponentType<ControlProps>> = {
  number: NumberField, slider: Slider, seed: Seed, choice: Choice, switch: Switch, colour: Colour,
  text: Line, multiline: Multiline, lines: Lines, json: JsonText,
  file: PathField, folder: PathField, model: PathField, lora: PathField, regions: Regions,
};
const TALL: ReadonlySet<WidgetKind> = new Set(["multiline", "lines", "json", "regions"]);

export function Widget(props: WidgetProps) {
  const { field, node, problem } = props;
  const id = useId();
  const described = problem ? `${id}-problem` : undefined;
  const Control = CONTROLS[field.kind];
  const written = field.name in node.settings;
  return (
    <div
      className={`lg-widget lg-widget-${field.kind} ${TALL.has(field.kind) ? "tall" : ""} ${problem ? "wrong" : ""} ${written ? "written" : ""}`}
      style={{ height: HEIGHTS[field.kind] }} data-setting={`${node.id}.${field.name}`} title={problem} role="presentation" onKeyDown={keepKeys}
    >
      <label className="lg-widget-label" htmlFor={id} title={field.info || field.name}>
        {field.name.replaceAll("_", " ")}{field.required && <span className="lg-widget-needed" aria-hidden="true"> *</span>}
      </label>
      <Control {...props} id={id} described={described} />
      {problem && <span id={described} className="lg-hidden">{problem}</span>}
    </div>
  );
}

/**
 * Plain keys belong to the control that has the focus, not to the canvas; combinations such as Ctrl+Enter go on. Undo is the
 * canvas's, also in a field: what is typed there is in its history, word by word (a field's own undo knows nothing of it).
 */
function keepKeys(event: KeyboardEvent): void {
  const key = event.key.toLowerCase();
  const mod = event.ctrlKey || event.metaKey;
  if (mod && !event.altKey && (key === "z" || key === "y")) {
    event.preventDefault();
    perform(key === "y" || event.shiftKey ? "edit.redo" : "edit.undo");
  }
  if (mod || event.altKey) return;
  event.stopPropagation();
  if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
}
