/** Pictures on a node: as many tiles as fit, a large view on click, and two of a size one over the other with a slider. */
import { useState } from "react";
import { fileUrl } from "../server";
import { Icon } from "../shell/icons";
import { openDialog } from "../state/shell";
import type { PictureView } from "../types";
import { Compare } from "./Compare";
import { small, tiling } from "./media";

const [GAP, LEAST] = [4, 40];

interface PicturesProps { node: string; items: PictureView[]; count: number; width: number; height: number }

export function Pictures({ node, items, count, width, height }: PicturesProps) {
  const [comparing, compare] = useState(false);
  const open = (index: number): void => openDialog("pictures", { items, index, title: node });
  if (!items.length) return <p className="lg-quiet">{count ? "The pictures are no longer there." : "No pictures."}</p>;
  const pair = items.length === 2 && items[0]!.width * items[1]!.height === items[1]!.width * items[0]!.height;
  const { columns, side, shown } = tiling(items.length, width, height, GAP, LEAST);
  // The last tile says how many more there are.
  const more = Math.max(count, items.length) - shown;
  return (
    <div className="lg-pictures" style={{ width, height }}>
      {pair && comparing ? (
        <Compare before={items[0]!} after={items[1]!} width={width} height={height} />
      ) : items.length === 1 ? (
        <Tile picture={items[0]!} node={node} open={() => open(0)} width={width} height={height} />
      ) : (
        <div className="lg-tiles" style={{ gridTemplateColumns: `repeat(${columns}, ${side}px)`, gap: GAP }}>
          {items.slice(0, shown).map((picture, index) => (
            <Tile
              key={`${picture.path}#${index}`} picture={picture} node={node} open={() => open(index)} width={side} height={side}
              more={index === shown - 1 && more > 0 ? more + 1 : 0}
            />
          ))}
        </div>
      )}
      {pair && (
        <button
          type="button" className="lg-icon-button lg-pair nodrag nopan" aria-pressed={comparing} aria-label="Compare with a slider"
          title="Compare with a slider" onClick={() => compare(!comparing)}
        ><Icon name="compare" /></button>
      )}
    </div>
  );
}

interface TileProps { picture: PictureView; node: string; open: () => void; width: number; height: number; more?: number }

function Tile({ picture, node, open, width, height, more = 0 }: TileProps) {
  const said = picture.caption || node;
  return (
    <button
      type="button" className="lg-tile nodrag nopan" style={{ width, height }} onClick={open} title={picture.caption || undefined}
      aria-label={more ? `${more} more pictures` : `${said}: show large`} data-testid="tile"
    >
      <img src={fileUrl(picture.path)} alt="" loading="lazy" decoding="async" draggable={false} className={small(picture) ? "lg-pixels" : undefined} />
      {more > 0 && <span className="lg-more">+{more}</span>}
    </button>
  );
}
