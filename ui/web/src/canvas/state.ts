/** What the canvas itself is doing: the tool, what is being renamed, its menu. No part of the document, nor of its history. */
import { create } from "zustand";
import type { Point } from "../types";

/** What a context menu was opened on. `id` is the node's, wire's, group's or note's; `setting` the name of one. */
export interface MenuTarget { kind: "node" | "wire" | "group" | "note" | "canvas"; id: string; client: Point; setting?: string }

export interface CanvasState {
  /** What dragging on the empty canvas does: move the view, or select what the rectangle touches. */
  tool: "pan" | "select";
  /** The node, group or note whose title (or text) is being written. */
  renaming: string | null;
  menu: MenuTarget | null;
  /** Ids of the nodes that have something to show below their settings; see runs/NodeRunView.tsx. */
  media: ReadonlySet<string>;
  /** The view is being moved: cards that come into it are drawn plainly, and fully when it rests. */
  moving: boolean;
  /** So far out that controls could not be read: settings are drawn as text. */
  plain: boolean;
}

export const useCanvas = create<CanvasState>()(() => ({ tool: "pan", renaming: null, menu: null, media: new Set(), moving: false, plain: false }));

/** The last place of the pointer over the canvas, in the window's pixels, and the keys held there. */
export const pointer: { at: Point | null; shift: boolean } = { at: null, shift: false };
