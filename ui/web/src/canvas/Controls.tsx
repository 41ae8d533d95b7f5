/** Buttons in the corner of the canvas: the tool, and the zoom. */
import { useStore } from "@xyflow/react";
import { perform } from "../commands";
import { Icon, type IconName } from "../shell/icons";
import { useShell } from "../state/shell";
import { useCanvas } from "./state";

export function Controls() {
  const tool = useCanvas((state) => state.tool);
  const minimap = useShell((state) => state.minimap);
  const percent = useStore((state) => Math.round(state.transform[2] * 100));
  return (
    <div className="lg-controls lg-over" role="toolbar" aria-label="View">
      <Button icon="cursor" label="Select by dragging" command="view.canvas.tool" pressed={tool === "select"} />
      <Button icon="zoom-out" label="Zoom out" command="view.zoom.out" />
      <button type="button" className="lg-controls-percent" title="Zoom to 100%" onClick={() => perform("view.zoom.whole")}>{percent}%</button>
      <Button icon="zoom-in" label="Zoom in" command="view.zoom.in" />
      <Button icon="fit" label="Show everything" command="view.zoom.fit" />
      <Button icon="map" label="Minimap" command="view.canvas.minimap" pressed={minimap} />
    </div>
  );
}

function Button({ icon, label, command, pressed }: { icon: IconName; label: string; command: string; pressed?: boolean }) {
  return (
    <button type="button" className="lg-icon-button" aria-label={label} title={label} aria-pressed={pressed} onClick={() => perform(command)}>
      <Icon name={icon} />
    </button>
  );
}
