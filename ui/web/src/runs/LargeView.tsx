/** A picture as large as the window allows, with what made it; the arrow keys go on, and any two can be compared. */
import { type KeyboardEvent, useState } from "react";
import { fileUrl } from "../server";
import { Dialog } from "../shell/Dialog";
import { Icon } from "../shell/icons";
import { closeDialog } from "../state/shell";
import looks from "../styles/large.css?inline";
import type { PictureView } from "../types";
import { openWorkflow } from "./choosing";
import { Compare } from "./Compare";
import { small } from "./media";
import { Download, Facts } from "./Results";

interface Shown extends PictureView { run?: string; title?: string; node?: string }
interface LargeViewProps { data: { items: Shown[]; index: number; title: string; compare?: number } }

export default function LargeView({ data: { items, index: first, title, compare } }: LargeViewProps) {
  const [index, setIndex] = useState(first);
  const [other, setOther] = useState<number | null>(compare ?? null);
  const picture = items[index]!;
  const second = other === null ? undefined : items[other];
  const go = (step: number): void => {
    const next = (index + step + items.length) % items.length;
    setIndex(next);
    if (other === next) setOther(null);
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.target instanceof HTMLInputElement || items.length < 2) return;
    if (event.key === "ArrowRight") go(1);
    else if (event.key === "ArrowLeft") go(-1);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={`${title} · ${index + 1} of ${items.length}`} onClose={closeDialog} size="full" flush testId="dialog-pictures">
      <style href="lg-large" precedence="default">{looks}</style>
      {/* oxlint-disable-next-line jsx-a11y/no-static-element-interactions */}
      <div className="lg-large" onKeyDown={pressed}>
        <div className="lg-large-stage">
          {second ? <Compare before={picture} after={second} /> : (
            <img className={`lg-large-picture ${small(picture) ? "lg-pixels" : ""}`} src={fileUrl(picture.path)} alt={picture.caption || title} data-testid="large-picture" />
          )}
          {items.length > 1 && <>
            <button type="button" className="lg-icon-button lg-large-step previous" aria-label="The picture before" onClick={() => go(-1)}><Icon name="left" size={20} /></button>
            <button type="button" className="lg-icon-button lg-large-step next" aria-label="The next picture" data-autofocus onClick={() => go(1)}><Icon name="right" size={20} /></button>
          </>}
        </div>
        <div className="lg-large-about">
          {picture.caption && <p className="lg-large-caption">{picture.caption}</p>}
          <Facts facts={{ ...(picture.width ? { size: `${picture.width} × ${picture.height}` } : {}), ...picture.settings, ...(picture.node ? { node: picture.node } : {}) }} />
          <div className="lg-large-buttons">
            <Download path={picture.path} label="Download" />
            {picture.run && (
              <button type="button" className="lg-button small" onClick={() => { closeDialog(); void openWorkflow({ id: picture.run!, name: picture.title ?? title }); }}>
                <Icon name="external" size={14} /> Open the workflow
              </button>
            )}
            {items.length > 1 && (
              <button
                type="button" className="lg-button small" aria-pressed={second !== undefined}
                onClick={() => setOther(second ? null : partner(items, index))}
              ><Icon name="compare" size={14} /> {second ? "Stop comparing" : "Compare"}</button>
            )}
          </div>
          {second && (
            <>
              <h3>Compared with</h3>
              {second.caption && <p className="lg-large-caption">{second.caption}</p>}
              <Facts facts={second.settings} />
            </>
          )}
          {items.length > 1 && (
            <ul className="lg-large-strip" aria-label={second ? "Compare with" : "All pictures"}>
              {near(items, index).map(([item, at]) => (
                <li key={`${item.path}#${at}`}>
                  <button
                    type="button" className={`lg-tile ${at === other ? "other" : ""}`} aria-current={at === index} aria-label={`${item.caption || "Picture"} ${at + 1}`}
                    onClick={() => { if (second && at !== index) setOther(at); else setIndex(at); }}
                  ><img src={fileUrl(item.path)} alt="" loading="lazy" draggable={false} className={small(item) ? "lg-pixels" : undefined} /></button>
                </li>
              ))}
            </ul>
          )}
        </div>
      </div>
    </Dialog>
  );
}

/** What to compare with at first: another picture of the same, else the next one. */
function partner(items: Shown[], index: number): number {
  const { caption, path } = items[index]!;
  const same = items.findIndex((item) => item.caption === caption && item.path !== path);
  return caption && same >= 0 ? same : (index + 1) % items.length;
}

/** The pictures about the shown one: a strip of all would be endless in a large gallery. */
function near(items: Shown[], index: number): [Shown, number][] {
  const from = Math.max(0, Math.min(index - 20, items.length - 41));
  return items.slice(from, from + 41).map((item, at) => [item, from + at]);
}
