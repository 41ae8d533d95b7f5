/** The picture that regions are painted over, and the size of what is painted: both from the node's other settings. */
import { useEffect, useState } from "react";
import { fileUrl } from "../server";
import type { Field, GraphNode, Json, Point } from "../types";
import { isAbsolute } from "../widgets/paths";

/** Width and height, in pixels, of a picture that nothing gives a size. */
export const BLANK = 512;

export interface Paper { width: number; height: number; background: string }

/** The node's settings `width`, `height` and `background`, or their defaults; 0 and "" where it has none. */
export function paperOf(node: GraphNode, fields: readonly Field[]): Paper {
  const [width, height, background] = ["width", "height", "background"].map((name) => node.settings[name] ?? fields.find((field) => field.name === name)?.default);
  return { width: whole(width), height: whole(height), background: typeof background === "string" ? background : "" };
}

function whole(value: Json | undefined): number {
  return typeof value === "number" && value > 0 ? Math.round(value) : 0;
}

/** The picture at a path on the server once it is there; null before, without a path, and where it can't be had. */
export function usePicture(path: string): HTMLImageElement | null {
  const [picture, setPicture] = useState<{ path: string; image: HTMLImageElement } | null>(null);
  useEffect(() => {
    if (!path || !isAbsolute(path)) return;
    const image = new Image();
    const show = () => setPicture({ path, image });
    image.addEventListener("load", show);
    image.src = fileUrl(path);
    return () => image.removeEventListener("load", show);
  }, [path]);
  return picture?.path === path ? picture.image : null;
}

/** What is written, else the picture's own size, else the blank one. */
export function sizeOf({ width, height }: Paper, picture: { naturalWidth: number; naturalHeight: number } | null): Point {
  return [width || picture?.naturalWidth || BLANK, height || picture?.naturalHeight || BLANK];
}
