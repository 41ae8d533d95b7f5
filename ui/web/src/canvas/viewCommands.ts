/** Commands that move the view. */
import { register } from "../commands";
import { useShell } from "../state/shell";
import { selectedItems } from "./selected";
import { useCanvas } from "./state";
import { view } from "./view";

register(
  { id: "view.zoom.fit", title: "Show everything", section: "View", keys: ["F"], run: () => view()?.reveal() },
  { id: "view.zoom.selection", title: "Show the selection", section: "View", keys: ["Shift+F"], enabled: () => selectedItems().length > 0, run: () => view()?.reveal(selectedItems()) },
  { id: "view.zoom.in", title: "Zoom in", section: "View", keys: ["+", "="], run: () => view()?.zoomTo(view()!.zoom() * 1.25) },
  { id: "view.zoom.out", title: "Zoom out", section: "View", keys: ["-"], run: () => view()?.zoomTo(view()!.zoom() / 1.25) },
  { id: "view.zoom.whole", title: "Zoom to 100%", section: "View", keys: ["1"], run: () => view()?.zoomTo(1) },
  { id: "view.canvas.minimap", title: "Minimap", section: "View", keys: ["Shift+M"], run: () => useShell.setState(({ minimap }) => ({ minimap: !minimap })) },
  { id: "view.canvas.tool", title: "Select by dragging", section: "View", keys: ["V"], run: () => useCanvas.setState(({ tool }) => ({ tool: tool === "pan" ? "select" : "pan" })) },
);
