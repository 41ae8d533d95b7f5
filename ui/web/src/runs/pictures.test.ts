import { expect, it } from "vitest";
import { type Server, setServer } from "../server";
import { type GalleryItem, loadPicturesUpTo, usePictures } from "./pictures";

const page = (...names: string[]) => ({ items: names.map((path) => ({ run: "r", path }) as GalleryItem), more: false, covers: {} });

it("asks for the newest pictures again where a run ended while they were on their way", async () => {
  let tell!: (answer: unknown) => void;
  const pages = [new Promise((resolve) => { tell = resolve; }), Promise.resolve(page("new", "old"))];
  setServer({ call: async () => await pages.shift() } as unknown as Server);
  const first = loadPicturesUpTo(1);
  await loadPicturesUpTo(2);
  tell(page("old"));
  await first;
  await expect.poll(() => usePictures.getState().items.map(({ path }) => path)).toEqual(["new", "old"]);
  expect(pages).toEqual([]);
});
