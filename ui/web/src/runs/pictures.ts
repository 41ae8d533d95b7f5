/** The pictures of past runs, newest first, in pages as they are asked for; and the path of the first picture of each run. */
import { create } from "zustand";
import { Lost, Refused, server } from "../server";
import type { PictureView } from "../types";

export interface GalleryItem extends PictureView { run: string; title: string; node: string; time: number }

interface Kept { items: GalleryItem[]; more: boolean; state: "new" | "loading" | "ready" | "failed"; covers: Record<string, string> }

export const usePictures = create<Kept>()(() => ({ items: [], more: true, state: "new", covers: {} }));

let mark: number | null = null;
/** Asked for the first page while another one was on its way. */
let anewAfter = false;

/** Ask for the first page, where that has not been done since `latest` was the newest end of a run. */
export async function loadPicturesUpTo(latest: number): Promise<void> {
  if (mark === latest && usePictures.getState().state !== "failed") return;
  mark = latest;
  await loadPictures(true);
}

/** Ask for the next page; with `anew` for the first one. */
export async function loadPictures(anew = false): Promise<void> {
  const { items, state, covers } = usePictures.getState();
  if (state === "loading") {
    anewAfter ||= anew;
    return;
  }
  usePictures.setState({ state: "loading" });
  try {
    const page = await server().call<{ items: GalleryItem[]; more: boolean; covers: Record<string, string> }>("gallery", { offset: anew ? 0 : items.length });
    const before = anew ? [] : items;
    const known = new Set(before.map(nameOf));
    const all = [...before, ...page.items.filter((item) => !known.has(nameOf(item)))];
    usePictures.setState({ items: all, more: page.more, state: "ready", covers: anew ? page.covers : { ...covers, ...page.covers } });
  } catch (error) {
    usePictures.setState({ state: "failed" });
    if (!(error instanceof Lost || error instanceof Refused)) throw error;
  } finally {
    const again = anewAfter;
    anewAfter = false;
    if (again) void loadPictures(true);
  }
}

export function nameOf(item: GalleryItem): string {
  return `${item.run} ${item.path}`;
}
