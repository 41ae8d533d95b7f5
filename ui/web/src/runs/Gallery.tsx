/** The pictures of this and past runs. A click shows one large; two that are marked can be compared. */
import { useEffect, useRef, useState } from "react";
import { fileUrl } from "../server";
import { Icon } from "../shell/icons";
import { useRuns } from "../state/runs";
import { openDialog } from "../state/shell";
import { small } from "./media";
import { type GalleryItem, loadPictures, loadPicturesUpTo, nameOf, usePictures } from "./pictures";
import { ago, isOver } from "./progress";

export default function Gallery() {
  const { items, more, state } = usePictures();
  const ended = useRuns(({ queue }) => queue.reduce((latest, run) => Math.max(latest, isOver(run) ? run.ended ?? 0 : 0), 0));
  const [marked, mark] = useState<GalleryItem[]>([]);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => { void loadPicturesUpTo(ended); }, [ended]);
  useEffect(() => {
    if (!more || state !== "ready") return;
    const observer = new IntersectionObserver((seen) => { if (seen.some((entry) => entry.isIntersecting)) void loadPictures(); });
    observer.observe(end.current!);
    return () => observer.disconnect();
  }, [more, state]);
  const toggle = (item: GalleryItem): void =>
    mark((before) => (before.some((other) => nameOf(other) === nameOf(item)) ? before.filter((other) => nameOf(other) !== nameOf(item)) : [...before.slice(-1), item]));
  if (!items.length) {
    return <p className="lg-side-empty">{state === "ready" ? "No pictures yet. What runs draw is collected here, with the settings that made it." : state === "failed" ? "The pictures could not be listed." : "One moment…"}</p>;
  }
  return (
    <div className="lg-gallery" data-testid="gallery">
      <div className="lg-gallery-bar">
        <span className="lg-quiet">{marked.length ? `${marked.length} of 2 marked` : "Mark two to compare them"}</span>
        <button
          type="button" className="lg-button small" disabled={marked.length < 2}
          onClick={() => openDialog("pictures", { items: marked, index: 0, compare: 1, title: "Compare" })}
        ><Icon name="compare" size={14} /> Compare</button>
      </div>
      {byRun(items).map(({ run, title, pictures }) => (
        <div key={run}>
          <h2><span className="lg-cut">{title}</span><span className="lg-gallery-when">{ago(pictures[0]!.time)}</span></h2>
          <ul className="lg-gallery-grid">
            {pictures.map((item) => {
              const isMarked = marked.some((other) => nameOf(other) === nameOf(item));
              const said = item.caption || `${item.title}, ${item.node}`;
              return (
                <li key={nameOf(item)} className={isMarked ? "marked" : undefined}>
                  <button type="button" className="lg-tile" title={said} aria-label={`${said}: show large`} onClick={() => openDialog("pictures", { items, index: items.indexOf(item), title: item.title })}>
                    <img src={fileUrl(item.path)} alt="" loading="lazy" decoding="async" draggable={false} className={small(item) ? "lg-pixels" : undefined} />
                  </button>
                  <button type="button" className="lg-gallery-mark" aria-pressed={isMarked} aria-label={`Mark ${said} for comparing`} onClick={() => toggle(item)}>
                    <Icon name="check" size={12} />
                  </button>
                </li>
              );
            })}
          </ul>
        </div>
      ))}
      <div ref={end} className="lg-quiet lg-gallery-end">{more ? "More…" : ""}</div>
    </div>
  );
}

function byRun(items: readonly GalleryItem[]): { run: string; title: string; pictures: GalleryItem[] }[] {
  const groups = new Map<string, { run: string; title: string; pictures: GalleryItem[] }>();
  for (const item of items) {
    const group = groups.get(item.run);
    if (group) group.pictures.push(item);
    else groups.set(item.run, { run: item.run, title: item.title, pictures: [item] });
  }
  return [...groups.values()];
}
