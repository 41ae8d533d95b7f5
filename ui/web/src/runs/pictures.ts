/** The pictures of past runs, newest first, in pages as they are asked for; and the first picture of each run. */
import { create } from "zustand";
import { Lost, Refused, server } from "../server";
import type { PictureView } from "../types";

export interface GalleryItem extends PictureView { run: string; title: string; node: string; time: number }

interface Kept { items: GalleryItem[]; more: boolean; state: "new" | "loading" | "ready" | "failed"; thumbnails: Record<string, GalleryItem> }

export const usePictures = create<Kept>()(() => ({ items: [], more: true, state: "new", thumbnails: {} }));

let mark: number | null = null;

/** Ask for the first page, where that has not been done since `latest` was the newest end of a run. */
export async function loadPicturesUpTo(latest: number): Promise<void> {
  if (mark === latest && usePictures.getState().state !== "failed") return;
  mark = latest;
  await loadPictures(true);
}

/** Ask for the next page; with `anew` for the first one. */
export async function loadPictures(anew = false): Promise<void> {
  const { items, state } = usePictures.getState();
  if (state === "loading") return;
  usePictures.setState({ state: "loading" });
  try {
    const page = await server().call<{ items: GalleryItem[]; more: boolean }>("gallery", { offset: anew ? 0 : items.length });
    const before = anew ? [] : items;
    const known = new Set(before.map(nameOf));
    const all = [...before, ...page.items.filter((item) => !known.has(nameOf(item)))];
    const thumbnails: Record<string, GalleryItem> = {};
    for (const item of all) thumbnails[item.run] ??= item;
    usePictures.setState({ items: all, more: page.more, state: "ready", thumbnails });
  } catch (error) {
    usePictures.setState({ state: "failed" });
    if (!(error instanceof Lost || error instanceof Refused)) throw error;
  }
}

export function nameOf(item: GalleryItem): string {
  return `${item.run} ${item.path}`;
}
