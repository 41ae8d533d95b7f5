/** Two pictures one over the other: the slider says how much of the second is seen. */
import { type CSSProperties, useState } from "react";
import { fileUrl } from "../server";
import type { PictureView } from "../types";
import { small } from "./media";

interface CompareProps { before: PictureView; after: PictureView; width?: number; height?: number }

export function Compare({ before, after, width, height }: CompareProps) {
  const [at, setAt] = useState(50);
  const ratio = (before.width || 1) / (before.height || 1);
  // As large as the given field allows, or (in the large view) as the style says.
  const pixels = small(before) && small(after) ? "lg-pixels" : "";
  const size: CSSProperties = width && height
    ? { width: Math.min(width, height * ratio), height: Math.min(height, width / ratio) }
    : { aspectRatio: String(ratio), "--ratio": ratio } as CSSProperties;
  return (
    <div className="lg-compare" style={{ ...size, "--at": `${at}%` } as CSSProperties} data-testid="compare">
      <img className={pixels} src={fileUrl(before.path)} alt={before.caption || "The first picture"} draggable={false} />
      <img className={`lg-compare-over ${pixels}`} src={fileUrl(after.path)} alt={after.caption || "The second picture"} draggable={false} />
      <span className="lg-compare-line" aria-hidden="true" />
      <input
        className="nodrag nopan nowheel" type="range" min="0" max="100" step="0.5" value={at} aria-label="How much of the first picture is seen"
        aria-valuetext={`${Math.round(at)} per cent of the first`} onChange={(event) => setAt(Number(event.target.value))}
      />
    </div>
  );
}
