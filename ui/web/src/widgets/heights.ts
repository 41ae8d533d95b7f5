/** How tall each widget is on a node, in pixels at zoom 1, its label included. Geometry comes from here: nothing is measured. */
import type { WidgetKind } from "../types";

export const HEIGHTS: Record<WidgetKind, number> = {
  number: 30, slider: 30, seed: 30, choice: 30, switch: 30, colour: 30, text: 30, file: 30, folder: 30, model: 30, lora: 30,
  multiline: 96, lines: 84, json: 84, regions: 190,
};
