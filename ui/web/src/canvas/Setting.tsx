/** A setting on a node: the widget and its edits; or, where there is no time or room for that, its value as text. */
import { memo, useCallback } from "react";
import { setSetting } from "../graph/operations";
import { useGraph } from "../state/graph";
import type { Field, GraphNode, Json } from "../types";
import { Widget } from "../widgets/Widget";
import { HEIGHTS } from "../widgets/heights";
import { valueOf } from "./geometry";

interface SettingProps { field: Field; node: GraphNode; problem?: string | undefined }

export const Setting = memo(function Setting({ field, node, problem }: SettingProps) {
  const { id } = node;
  const { name, default: standard } = field;
  const change = useCallback((value: Json, done = true) => {
    const { edit, settle } = useGraph.getState();
    edit(`change ${name}`, (graph) => setSetting(graph, id, name, value, standard), `set ${id}.${name}`);
    if (done) settle();
  }, [id, name, standard]);
  return <Widget field={field} value={valueOf(node, field)} node={node} problem={problem} onChange={change} />;
});

/** A click on it zooms in, until there is the widget; see usePointing. */
export function Sketch({ field, node }: SettingProps) {
  const height = HEIGHTS[field.kind];
  return (
    <div className={`lg-sketch ${height > HEIGHTS.text ? "tall" : ""}`} style={{ height }} title="Click to zoom in and edit">
      <span>{field.name.replaceAll("_", " ")}</span>
      <span>{inWords(valueOf(node, field))}</span>
    </div>
  );
}

function inWords(value: Json): string {
  if (value === null) return "";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join("\n").slice(0, 200);
  return (typeof value === "string" ? value : JSON.stringify(value)).slice(0, 200);
}
