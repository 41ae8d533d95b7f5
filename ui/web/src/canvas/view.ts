/** Where the canvas is looking: set by Canvas when it is ready, asked by the palette, menus and commands. */
import type { Point } from "../types";

export interface View {
  /** From the window's pixels to the graph's coordinates. */
  toGraph(client: Point): Point;
  toClient(at: Point): Point;
  /** The middle of what is seen, in the graph's coordinates. */
  centre(): Point;
  zoom(): number;
  /** Move so that these nodes are seen (all, without names). */
  reveal(ids?: Iterable<string>): void;
  /** Zoom about the middle of what is seen; 1 is 100%. */
  zoomTo(zoom: number): void;
  /** Zoom to 100% about a place of the window that lies on a node, so that its whole width is seen. */
  approach(client: Point, node: { left: number; width: number }): void;
  element(): HTMLElement;
}

let current: View | null = null;
export function setView(view: View | null): void { current = view; }
export function view(): View | null { return current; }
