/** Regions on their node: a small picture of them, and the button that opens the painter. */
import { useEffect, useMemo, useRef } from "react";
import { paint } from "../painter/draw";
import { readLayers } from "../painter/layers";
import { paperOf, sizeOf, usePicture } from "../painter/picture";
import { Icon } from "../shell/icons";
import { registerDialog } from "../shell/registry";
import { useGraph } from "../state/graph";
import { openDialog } from "../state/shell";
import type { ControlProps } from "./Widget";

registerDialog("painter", () => import("../painter/PainterDialog"));

const ROOM = { width: 252, height: 120 };

export default function Regions({ field, value, node, id, described }: ControlProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const layers = useMemo(() => readLayers(value), [value]);
  const fields = useGraph((state) => state.catalog.nodes[node.type]?.fields);
  const paper = paperOf(node, fields ?? []);
  const picture = usePicture(paper.background);
  const [width, height] = sizeOf(paper, picture);
  const scale = Math.min(ROOM.width / width, ROOM.height / height);
  const shown = { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.clearRect(0, 0, shown.width, shown.height);
    paint(context, { x: 0, y: 0, ...shown }, layers, picture, { paper: "#ffffff", labels: false });
  });
  const open = () => openDialog("painter", { node: node.id, setting: field.name });
  const names = layers.filter((layer) => !layer.hidden).map((layer) => layer.prompt || "no prompt");
  const told = names.length === 0 ? "No regions yet" : names.length === 1 ? names[0]! : `${names.length} regions: ${names.join(", ")}`;
  const words = names.length === 0 ? "Draw regions" : "Edit regions";
  return (
    <div className="lg-regions">
      <div className="lg-regions-picture" onDoubleClick={open}>
        {/* Twice as fine as it is shown at zoom 1, so that it is sharp when one looks closer. */}
        <canvas ref={canvas} width={shown.width * 2} height={shown.height * 2} style={shown} aria-hidden="true" />
      </div>
      <button id={id} type="button" className="lg-button small nodrag nopan" aria-describedby={described} aria-label={`${words}: ${told}`} onClick={open}>
        <Icon name="edit" size={14} />{words}
      </button>
    </div>
  );
}
